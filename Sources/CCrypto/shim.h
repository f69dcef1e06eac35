// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

// OpenSSL's libcrypto: SHA-256 at the speed of the processor's own instructions.
#include <openssl/evp.h>
