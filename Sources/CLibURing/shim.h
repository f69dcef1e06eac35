// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

// liburing. The order is a promise: a cold build fails with the library's header alone, because fd_set and
// io_uring_sqe are then first seen inside another module. See io_uring(7).
#include <sys/types.h>
#include <sys/select.h>
#include <linux/io_uring.h>
#include <liburing.h>
