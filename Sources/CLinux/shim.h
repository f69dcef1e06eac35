// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

// Linux's block layer, and extended attributes, which Swift's own Glibc module leaves out. Swift imports neither
// variadic ioctl(2) nor _IOR constants, so each request is a function.
#include <stddef.h>
#include <stdint.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/types.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/sysmacros.h>
#include <sys/types.h>
#include <sys/xattr.h>
#include <linux/fs.h>
#include <linux/blkpg.h>
#include <linux/loop.h>

// O_DIRECT hides behind _GNU_SOURCE, which no shim may define; the kernel's value is fixed per architecture.
#ifndef O_DIRECT
#define FLASHLAYER_O_DIRECT __O_DIRECT
#else
#define FLASHLAYER_O_DIRECT O_DIRECT
#endif
static const int flashlayer_o_direct = FLASHLAYER_O_DIRECT;
/// Hides behind _GNU_SOURCE as well.
static const int flashlayer_o_path = __O_PATH;

/// environ(7): Swift does not import a variable that any thread may change.
static inline char **flashlayer_environment(void) {
    extern char **environ;
    return environ;
}

static inline int flashlayer_open(const char *path, int flags, unsigned mode) { return open(path, flags, mode); }

/// Size in bytes.
static inline int flashlayer_blkgetsize64(int fd, uint64_t *bytes) { return ioctl(fd, BLKGETSIZE64, bytes); }
/// Logical sector size in bytes.
static inline int flashlayer_blksszget(int fd, int *bytes) { return ioctl(fd, BLKSSZGET, bytes); }
/// 1 if the kernel refuses writes.
static inline int flashlayer_blkroget(int fd, int *value) { return ioctl(fd, BLKROGET, value); }
/// Writes back and drops the page cache of the device. Needs CAP_SYS_ADMIN.
static inline int flashlayer_blkflsbuf(int fd) { return ioctl(fd, BLKFLSBUF, 0); }
/// Re-reads the partition table. Needs CAP_SYS_ADMIN.
static inline int flashlayer_blkrrpart(int fd) { return ioctl(fd, BLKRRPART, 0); }
/// The medium's sequence number, never used twice until reboot. ENOTTY before Linux 5.15.
static inline int flashlayer_blkgetdiskseq(int fd, uint64_t *sequence) {
#ifdef BLKGETDISKSEQ
    return ioctl(fd, BLKGETDISKSEQ, sequence);
#else
    return ioctl(fd, _IOR(0x12, 128, uint64_t), sequence);
#endif
}
/// Adds or removes the kernel's node for one partition, without writing to the disk.
static inline int flashlayer_blkpg(int fd, int operation, int number, int64_t start, int64_t length) {
    struct blkpg_partition partition = {.start = start, .length = length, .pno = number};
    struct blkpg_ioctl_arg argument = {
        .op = operation, .flags = 0, .datalen = sizeof partition, .data = &partition};
    return ioctl(fd, BLKPG, &argument);
}
static const int flashlayer_blkpg_add = BLKPG_ADD_PARTITION;
static const int flashlayer_blkpg_delete = BLKPG_DEL_PARTITION;

/// fallocate(2)'s FALLOC_FL_PUNCH_HOLE, which leaves the size of a file alone.
static const int flashlayer_punch_hole = 0x02 | 0x01;
static inline int flashlayer_fallocate(int fd, int mode, off_t offset, off_t length) {
    extern int fallocate(int, int, off_t, off_t);
    return fallocate(fd, mode, offset, length);
}
/// A pipe that takes `size` bytes, as far as the user may have such a one. See F_SETPIPE_SZ in fcntl(2).
static inline int flashlayer_pipe(int ends[2], int size) {
    extern int pipe2(int[2], int);
    int result = pipe2(ends, O_CLOEXEC);
    if (result == 0) (void)fcntl(ends[1], 1031 /* F_SETPIPE_SZ, which hides behind _GNU_SOURCE */, size);
    return result;
}
/// A counter of 0 that makes its descriptor readable once it is written to. See eventfd(2).
static inline int flashlayer_eventfd(void) { return eventfd(0, EFD_CLOEXEC); }
/// Names the calling thread, at most 15 bytes. See PR_SET_NAME in prctl(2).
static inline void flashlayer_name_thread(const char *name) { (void)prctl(PR_SET_NAME, name, 0, 0, 0); }
static inline unsigned flashlayer_major(uint64_t device) { return major(device); }
static inline unsigned flashlayer_minor(uint64_t device) { return minor(device); }
static inline uint64_t flashlayer_makedev(unsigned major_, unsigned minor_) { return makedev(major_, minor_); }

/// Takes a shared lock of one byte, owned by the open file description: F_OFD_SETLK in fcntl(2).
static inline int flashlayer_lock_byte_shared(int fd, off_t byte) {
    struct flock lock = {.l_type = F_RDLCK, .l_whence = SEEK_SET, .l_start = byte, .l_len = 1};
    return fcntl(fd, 37 /* F_OFD_SETLK, which hides behind _GNU_SOURCE */, &lock);
}
/// 1 if somebody else holds any lock of that byte, 0 if not, -1 with errno: F_OFD_GETLK in fcntl(2).
static inline int flashlayer_byte_is_locked(int fd, off_t byte) {
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = byte, .l_len = 1};
    if (fcntl(fd, 36 /* F_OFD_GETLK */, &lock) != 0) return -1;
    return lock.l_type != F_UNLCK;
}
/// lseek(2) to the next data (or hole) at or after an offset; both hide behind _GNU_SOURCE.
static const int flashlayer_seek_data = 3;
static const int flashlayer_seek_hole = 4;
/// rename(2) that fails with EEXIST when the new name is taken: RENAME_NOREPLACE of renameat2(2), which hides behind
/// _GNU_SOURCE. EINVAL where the file system cannot do it.
static inline int flashlayer_rename_new(const char *from, const char *to) {
    extern int renameat2(int, const char *, int, const char *, unsigned);
    return renameat2(AT_FDCWD, from, AT_FDCWD, to, 1);
}
/// Lets two names change places, in one step.
static inline int flashlayer_rename_exchange(const char *one, const char *other) {
    extern int renameat2(int, const char *, int, const char *, unsigned);
    return renameat2(AT_FDCWD, one, AT_FDCWD, other, 2);
}
/// copy_file_range(2): copies within the kernel, or shares blocks where the file system can.
static inline ssize_t flashlayer_copy_file_range(int from, off_t *offset, int to, off_t *position, size_t length) {
    extern ssize_t copy_file_range(int, off_t *, int, off_t *, size_t, unsigned);
    return copy_file_range(from, offset, to, position, length, 0);
}
/// Who is at the other end of a Unix socket, see SO_PEERCRED in unix(7): `struct ucred` hides behind _GNU_SOURCE.
struct flashlayer_peer {
    int32_t process;
    uint32_t user;
    uint32_t group;
};
static inline int flashlayer_peer_of(int fd, struct flashlayer_peer *peer) {
    // Not <sys/socket.h>: what this module includes before the C library's does, Swift no longer finds there.
    extern int getsockopt(int, int, int, void *, unsigned *);
    unsigned length = sizeof *peer;
    return getsockopt(fd, 1 /* SOL_SOCKET */, 17 /* SO_PEERCRED */, peer, &length);
}
/// accept4(2), which hides behind _GNU_SOURCE: the connection does not reach programs that are started meanwhile.
static inline int flashlayer_accept(int fd) {
    extern int accept4(int, void *, unsigned *, int);
    return accept4(fd, NULL, NULL, O_CLOEXEC /* SOCK_CLOEXEC is the same */);
}
