// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

import Glibc
import Programs
import TestSupport
import Testing

/// A web server of Python's library on this machine that misbehaves as it is told.
final class WebServer: Sendable {
    let address: String
    private let task: Task<Void, any Error>

    /// - Parameters:
    ///   - folder: what it serves.
    ///   - fault: `none`; `break` ends each answer after 700 000 bytes; `break-plain` does, and knows no ranges;
    ///     `break-change` does, and the file is another one from the second request on; `untold` gives no length; `late` listens
    ///     half a second later; a number is the status of what is not there.
    init(_ folder: TemporaryFolder, fault: String) async throws {
        let script = folder.file("server-\(fault).py")
        try folder.write(Self.script, to: "server-\(fault).py")
        let portFile = folder.file("port-\(fault)")
        let python = try Program("python3", debianPackage: "python3")
        task = Task { try await _ = python.outcome([script, folder.path, fault, portFile]) }
        var port = ""
        for _ in 0..<60_000 where port.isEmpty {
            try await Task.sleep(for: .milliseconds(5))
            port = (try? String(decoding: TestImage.bytes(of: portFile), as: UTF8.self)) ?? ""
        }
        address = "http://127.0.0.1:\(try #require(Int(port)))/"
    }

    deinit {
        task.cancel()
    }

    private static let script = """
        import http.server, os, re, sys, time
        folder, fault, port_file = sys.argv[1:]
        requests = 0
        class Handler(http.server.BaseHTTPRequestHandler):
            def log_message(self, *arguments): pass
            def do_GET(self):
                global requests
                path = os.path.join(folder, os.path.basename(self.path.split('?')[0]))
                if self.path.startswith('/moved/'):
                    self.send_response(302)
                    self.send_header('Location', '/' + os.path.basename(path))
                    self.end_headers()
                    return
                if not os.path.exists(path):
                    self.send_error(int(fault) if fault.isdigit() else 404)
                    return
                requests += 1
                data = open(path, 'rb').read()
                tag = '"one"'
                if fault == 'break-change' and requests > 1: data, tag = data[::-1], '"two"'
                start = 0
                wanted = re.match(r'bytes=(\\d+)-$', self.headers.get('Range', ''))
                if wanted and fault != 'break-plain' and self.headers.get('If-Range') == tag:
                    start = int(wanted[1])
                    self.send_response(206)
                    self.send_header('Content-Range', f'bytes {start}-{len(data) - 1}/{len(data)}')
                else:
                    self.send_response(200)
                self.send_header('ETag', tag)
                if fault != 'untold': self.send_header('Content-Length', str(len(data) - start))
                self.end_headers()
                end = min(len(data), start + 700000) if fault.startswith('break') else len(data)
                try: self.wfile.write(data[start:end])
                except BrokenPipeError: pass
        server = http.server.ThreadingHTTPServer(('127.0.0.1', 0), Handler, False)
        server.server_bind()
        if fault != 'late': server.server_activate()
        open(port_file + '.new', 'w').write(str(server.server_address[1]))
        os.rename(port_file + '.new', port_file)
        if fault == 'late':
            time.sleep(0.5)
            server.server_activate()
        server.serve_forever()
        """
}
