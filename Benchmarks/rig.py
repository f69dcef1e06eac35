# SPDX-License-Identifier: Apache-2.0
# Copyright the flashlayer authors
"""Devices to write to, and measures of programs that do: for the benchmarks beside this file."""

import atexit
import collections
import json
import os
import pathlib
import shutil
import statistics
import struct
import subprocess
import sys
import tempfile
import threading
import time

MIB = 1 << 20
CHUNK = 4 * MIB


class Scratch:
    """A folder in memory, and the devices over its files; all of it is gone at the end."""

    def __init__(self):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="flashlayer-bench.", dir="/dev/shm"))
        self.devices = []
        atexit.register(self.close)

    def close(self):
        for device in self.devices:
            device.close()
        self.devices = []
        shutil.rmtree(self.folder, ignore_errors=True)

    def file(self, name):
        return str(self.folder / name)

    def image(self, name, size, data):
        """A sparse raw image; `data` are (offset, length) of what does not compress."""
        path = self.file(name)
        with open(path, "wb") as file:
            file.truncate(size)
            for offset, length in data:
                file.seek(offset)
                for start in range(0, length, MIB):
                    file.write(os.urandom(min(MIB, length - start)))
        return path

    def loop(self, size):
        path = self.file(f"disk{len(self.devices)}")
        with open(path, "wb") as file:
            file.truncate(size)
        return self._add(Loop(path))

    def limited(self, size, **rates):
        """A device with write_rate and read_rate, in bytes a second; see Tests/TestSupport/faulty-disk.c."""
        return self._add(LimitedDisk(self, len(self.devices), size, rates))

    def release(self, device):
        self.devices.remove(device)
        device.close()

    def _add(self, device):
        self.devices.append(device)
        return device


class Loop:
    def __init__(self, file):
        attach = ["losetup", "--find", "--show", "--direct-io=on", file]
        done = subprocess.run(attach, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        if done.returncode != 0:  # A file in memory has no direct I/O on older kernels.
            attach.remove("--direct-io=on")
            done = subprocess.run(attach, stdout=subprocess.PIPE, text=True, check=True)
        self.path = done.stdout.strip()

    def close(self):
        subprocess.run(["losetup", "--detach", self.path], check=False)


class LimitedDisk:
    """The tests' own rig: the plugin counts what it was asked for."""

    def __init__(self, scratch, number, size, rates):
        plugin = scratch.file("faulty-disk.so")
        source = pathlib.Path(__file__).parent.parent / "Tests/TestSupport/faulty-disk.c"
        if not os.path.exists(plugin):
            subprocess.run(["cc", "-O2", "-fPIC", "-shared", "-o", plugin, source], check=True)
        self.medium = scratch.file(f"medium{number}")
        self.counters = scratch.file(f"counters{number}")
        self.disk = scratch.file(f"limited{number}")
        for path, length in ((self.medium, size), (self.disk, 0)):
            with open(path, "wb") as file:
                file.truncate(length)
        keys = {key.replace("_", "-"): str(value) for key, value in rates.items()}
        self.server = subprocess.Popen(
            ["nbdfuse", self.disk, "--command", "nbdkit", "-s", plugin, f"medium={self.medium}",
             f"counters={self.counters}", f"owner={os.getpid()}"] + [f"{key}={value}" for key, value in keys.items()])
        while os.stat(self.disk).st_size != size:
            if self.server.poll() is not None:
                sys.exit("bench: nbdfuse did not come up")
            time.sleep(0.01)
        self.loop = Loop(self.disk)
        self.path = self.loop.path

    def fill(self, path=None):
        """What is on it before: a file's content, or bytes that are no zeros; not through the device."""
        with open(self.medium, "r+b") as medium:
            if path:
                with open(path, "rb") as file:
                    shutil.copyfileobj(file, medium, CHUNK)
            else:
                for _ in range(os.stat(self.medium).st_size // MIB):
                    medium.write(b"\xaa" * MIB)

    @property
    def written(self):
        with open(self.counters, "rb") as file:
            return struct.unpack("8Q", file.read(64))[1]

    def close(self):
        self.loop.close()
        for _ in range(50):
            if subprocess.run(["fusermount3", "-u", self.disk], stderr=subprocess.DEVNULL).returncode == 0:
                break
            time.sleep(0.1)
        else:
            self.server.kill()
        self.server.wait()


Measure = collections.namedtuple("Measure", "seconds cpu memory output")


def measure(*command, stdin=None):
    """Runs a program to its end: seconds, CPU seconds of it and its children, and the peak of their memory in all."""
    start = time.monotonic()
    process = subprocess.Popen(command, stdin=stdin, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    peak = [0]
    sampler = threading.Thread(target=_sample, args=(process.pid, peak), daemon=True)
    sampler.start()
    errors = []
    reader = threading.Thread(target=lambda: errors.append(process.stderr.read()), daemon=True)
    reader.start()
    output = process.stdout.read()
    _, status, usage = os.wait4(process.pid, 0)
    seconds = time.monotonic() - start
    process.returncode = os.waitstatus_to_exitcode(status)
    reader.join()
    sampler.join()
    if process.returncode != 0:
        sys.exit(f"bench: {' '.join(command)} ended with status {process.returncode}:\n{errors[0]}{output[-2000:]}")
    memory = max(peak[0], usage.ru_maxrss << 10)
    return Measure(seconds, usage.ru_utime + usage.ru_stime, memory, output)


def _sample(process, peak):
    """Sums the peaks of a process and its children while they live."""
    while True:
        total, known = 0, [process]
        while known:
            current = known.pop()
            try:
                for line in open(f"/proc/{current}/status"):
                    if line.startswith("VmHWM:"):
                        total += int(line.split()[1]) << 10
                for task in os.listdir(f"/proc/{current}/task"):
                    known += open(f"/proc/{current}/task/{task}/children").read().split()
            except OSError:
                continue
        if total == 0:
            return
        peak[0] = max(peak[0], total)
        time.sleep(0.02)


class Table:
    """Jobs as rows: medians over interleaved rounds, and their ratio to the job that they are measured by."""

    def __init__(self, title):
        self.title = title
        self.rows = collections.OrderedDict()

    def add(self, job, run, written=None, seconds=None):
        """`seconds`: where a program tells its own time, without its start-up."""
        row = self.rows.setdefault(job, [])
        row.append((run.seconds if seconds is None else seconds, run.cpu, run.memory, written))

    def median(self, job, column=0):
        values = [row[column] for row in self.rows[job] if row[column] is not None]
        return statistics.median(values) if values else None

    def show(self, reference):
        print(f"\n### {self.title}\n")
        print("| job | seconds | ratio | CPU seconds | CPU ratio | MiB written | peak MiB | rounds |")
        print("|---|--:|--:|--:|--:|--:|--:|--:|")
        for job in self.rows:
            seconds, cpu, memory, written = (self.median(job, column) for column in range(4))
            ratio = seconds / self.median(reference)
            cpu_ratio = cpu / max(0.001, self.median(reference, 1))
            amount = "" if written is None else f"{written / MIB:.1f}"
            print(f"| {job} | {seconds:.3f} | {ratio:.2f} | {cpu:.2f} | {cpu_ratio:.2f} | {amount} |"
                  f" {memory / MIB:.0f} | {len(self.rows[job])} |")
        sys.stdout.flush()


def finished(run):
    """The `finished` lines of a `write --json`, as they came."""
    lines = (json.loads(line) for line in run.output.splitlines())
    return [line for line in lines if line["event"] == "finished"]
