// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

// zlib, which unpacks gzip. inflateInit2 is a macro, which Swift does not import.
#include <zlib.h>

/// A decoder of gzip members and of nothing else; see inflateInit2 in zlib.h.
static inline int flashlayer_inflate_init_gzip(z_stream *stream) { return inflateInit2(stream, 15 + 16); }
