// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

/*
 * An nbdkit plugin: a disk that fails as real ones do. What it really holds is a plain file, which a test reads behind
 * its back; what it was asked for is counted in another, so that neither has to be believed by what is judged.
 *
 *   medium=FILE           what the disk really holds; the file's size is the real capacity
 *   size=BYTES            what it says its capacity is; the medium's own by default
 *   beyond=wrap|lose      what becomes of writes beyond the real capacity: they land at its start again, or nowhere
 *   fault=KIND:ON:FROM:TO:AFTER:TIMES:ERRNO     may be repeated
 *       KIND   error, drop (say it is done), flip (a bit of the byte FROM), hang (all that comes later hangs as well),
 *              die (the disk is gone)
 *       ON     write (zeros, too), read, flush
 *       FROM, TO  bytes; the requests that touch them. Of flushes, all that come after the first write
 *       AFTER  bytes that were written before it begins
 *       TIMES  how often; 0: always
 *       ERRNO  for errors. NBD carries EIO, ENOSPC, EPERM and few others; the rest arrive as EINVAL
 *   write-rate, read-rate=BYTES        a second
 *   write-latency, read-latency, flush-latency=MILLISECONDS        of each request
 *   zero-offload=true     zeros and discards are commands of their own; by default the disk has none
 *   counters=FILE         eight 64-bit numbers: see struct counters
 *   owner=PID             when that process is gone, so is the disk, and nbdfuse
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define NBDKIT_API_VERSION 2
#include <nbdkit-plugin.h>

#define THREAD_MODEL NBDKIT_THREAD_MODEL_PARALLEL

struct counters {
    _Atomic uint64_t process, bytes_written, bytes_read, bytes_zeroed, flushes, writes, reads, faults;
};

enum kind { ERROR, DROP, FLIP, HANG, DIE };
enum operation { WRITE, READ, FLUSH };
static const char *const kinds[] = {"error", "drop", "flip", "hang", "die", NULL};
static const char *const operations[] = {"write", "read", "flush", NULL};

struct fault {
    int kind, on, errnum;
    uint64_t from, to, after, times;
};

struct pace {
    int64_t rate;         /* bytes a second; 0: as fast as it goes */
    int64_t latency;      /* milliseconds */
    uint64_t busy_until;  /* nanoseconds */
};

#define MAX_FAULTS 64
static struct fault faults[MAX_FAULTS];
static int fault_count;
static int medium = -1;
static int64_t capacity, size;
static bool wraps, offloads;
static struct pace paces[3];
static struct counters nobody_reads, *counters = &nobody_reads;
static pid_t owner;
static _Atomic bool hangs;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

static void fail(const char *what, const char *value)
{
    nbdkit_error("%s: %s: %s", what, value, strerror(errno));
}

static int word(const char *text, const char *const *words)
{
    for (int i = 0; words[i]; i++)
        if (strcmp(text, words[i]) == 0) return i;
    return -1;
}

static int parse_fault(const char *text)
{
    struct fault fault;
    char kind[16], on[16];
    if (fault_count == MAX_FAULTS
        || sscanf(text, "%15[^:]:%15[^:]:%" SCNu64 ":%" SCNu64 ":%" SCNu64 ":%" SCNu64 ":%d", kind, on, &fault.from,
                  &fault.to, &fault.after, &fault.times, &fault.errnum) != 7
        || (fault.kind = word(kind, kinds)) < 0 || (fault.on = word(on, operations)) < 0) {
        nbdkit_error("fault=%s is none", text);
        return -1;
    }
    faults[fault_count++] = fault;
    return 0;
}

static int parse_size(const char *value, int64_t *number)
{
    *number = nbdkit_parse_size(value);
    return *number < 0 ? -1 : 0;
}

static int open_counters(const char *path)
{
    int file = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0644);
    if (file < 0 || ftruncate(file, sizeof *counters) != 0) return fail("counters", path), -1;
    void *address = mmap(NULL, sizeof *counters, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    close(file);
    if (address == MAP_FAILED) return fail("counters", path), -1;
    counters = address;
    return 0;
}

static int disk_config(const char *key, const char *value)
{
    if (strcmp(key, "medium") == 0) {
        struct stat status;
        medium = open(value, O_RDWR | O_CLOEXEC);
        if (medium < 0 || fstat(medium, &status) != 0) return fail("medium", value), -1;
        capacity = status.st_size;
        return 0;
    }
    if (strcmp(key, "size") == 0) return parse_size(value, &size);
    if (strcmp(key, "beyond") == 0) return wraps = strcmp(value, "wrap") == 0, 0;
    if (strcmp(key, "fault") == 0) return parse_fault(value);
    if (strcmp(key, "write-rate") == 0) return parse_size(value, &paces[WRITE].rate);
    if (strcmp(key, "read-rate") == 0) return parse_size(value, &paces[READ].rate);
    if (strcmp(key, "write-latency") == 0) return parse_size(value, &paces[WRITE].latency);
    if (strcmp(key, "read-latency") == 0) return parse_size(value, &paces[READ].latency);
    if (strcmp(key, "flush-latency") == 0) return parse_size(value, &paces[FLUSH].latency);
    if (strcmp(key, "zero-offload") == 0) return offloads = nbdkit_parse_bool(value) == 1, 0;
    if (strcmp(key, "counters") == 0) return open_counters(value);
    if (strcmp(key, "owner") == 0) return owner = atoi(value), 0;
    nbdkit_error("unknown key %s", key);
    return -1;
}

static int disk_config_complete(void)
{
    if (medium < 0) return nbdkit_error("medium=FILE is missing"), -1;
    if (size == 0) size = capacity;
    return 0;
}

/* A test that was killed takes its disks along. */
static void *watch_owner(void *unused)
{
    (void)unused;
    while (kill(owner, 0) == 0) sleep(1);
    kill(getppid(), SIGKILL);
    _exit(0);
}

static int disk_after_fork(void)
{
    pthread_t watcher;
    counters->process = getpid();
    if (owner != 0 && pthread_create(&watcher, NULL, watch_owner, NULL) != 0) return -1;
    return 0;
}

static void *disk_open(int readonly)
{
    (void)readonly;
    return NBDKIT_HANDLE_NOT_NEEDED;
}

static int64_t disk_get_size(void *handle) { (void)handle; return size; }
static int disk_can_multi_conn(void *handle) { (void)handle; return 1; }
static int disk_can_trim(void *handle) { (void)handle; return offloads; }
static int disk_can_zero(void *handle) { (void)handle; return offloads; }
static int disk_can_fast_zero(void *handle) { (void)handle; return offloads; }

static uint64_t now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (uint64_t)time.tv_sec * 1000000000u + (uint64_t)time.tv_nsec;
}

/* Requests of one kind share the rate, as on a bus; latencies pass side by side. */
static void keep_pace(enum operation operation, uint64_t bytes)
{
    struct pace *pace = &paces[operation];
    uint64_t end = now();
    if (pace->rate > 0) {
        pthread_mutex_lock(&lock);
        if (pace->busy_until < end) pace->busy_until = end;
        pace->busy_until += bytes * 1000000000u / (uint64_t)pace->rate;
        end = pace->busy_until;
        pthread_mutex_unlock(&lock);
    }
    end += (uint64_t)pace->latency * 1000000u;
    struct timespec until = {.tv_sec = (time_t)(end / 1000000000u), .tv_nsec = (long)(end % 1000000000u)};
    while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL) == EINTR) {}
}

static void hang_forever(void)
{
    hangs = true;
    for (;;) pause();
}

/* Whether a fault of a kind strikes a request; one that strikes is counted. */
static struct fault *strikes(enum kind kind, enum operation operation, uint64_t from, uint64_t to)
{
    struct fault *found = NULL;
    pthread_mutex_lock(&lock);
    for (int i = 0; i < fault_count && !found; i++) {
        struct fault *fault = &faults[i];
        if (fault->kind != (int)kind || fault->on != (int)operation) continue;
        if (operation != FLUSH && (to <= fault->from || from >= fault->to)) continue;
        /* Attaching a loop device flushes, too. */
        if (operation == FLUSH && counters->bytes_written == 0) continue;
        if (counters->bytes_written < fault->after || fault->times == UINT64_MAX) continue;
        /* Used up: never again. */
        if (fault->times != 0 && --fault->times == 0) fault->times = UINT64_MAX;
        counters->faults++;
        found = fault;
    }
    pthread_mutex_unlock(&lock);
    return found;
}

/* The faults that keep a request from being served at all. */
static int refused(enum operation operation, uint64_t from, uint64_t count)
{
    struct fault *fault;
    if (hangs || strikes(HANG, operation, from, from + count)) hang_forever();
    if (strikes(DIE, operation, from, from + count)) _exit(1);
    if ((fault = strikes(ERROR, operation, from, from + count))) {
        nbdkit_set_error(fault->errnum);
        return -1;
    }
    return 0;
}

/* Writes to the medium, zeros where there are no bytes, in pieces that do not cross its end. */
static int store(const uint8_t *bytes, uint64_t count, uint64_t offset)
{
    static const uint8_t zeros[1 << 16];
    while (count > 0) {
        uint64_t place = offset;
        if (place >= (uint64_t)capacity) {
            if (!wraps) return 0;
            place %= (uint64_t)capacity;
        }
        uint64_t piece = (uint64_t)capacity - place;
        if (piece > count) piece = count;
        if (!bytes && fallocate(medium, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)place, (off_t)piece) != 0
            && piece > sizeof zeros)
            piece = sizeof zeros;
        if (pwrite(medium, bytes ? bytes : zeros, bytes || piece < sizeof zeros ? piece : sizeof zeros, (off_t)place) < 0)
            return fail("medium", "write"), -1;
        if (bytes) bytes += piece;
        count -= piece;
        offset += piece;
    }
    return 0;
}

static int load(uint8_t *bytes, uint64_t count, uint64_t offset)
{
    while (count > 0) {
        uint64_t place = offset, piece = count;
        if (place >= (uint64_t)capacity && !wraps) {
            memset(bytes, 0, count);
            return 0;
        }
        place %= (uint64_t)capacity;
        if (piece > (uint64_t)capacity - place) piece = (uint64_t)capacity - place;
        ssize_t got = pread(medium, bytes, piece, (off_t)place);
        if (got <= 0) return fail("medium", "read"), -1;
        bytes += got;
        count -= (uint64_t)got;
        offset += (uint64_t)got;
    }
    return 0;
}

static int write_or_zero(const uint8_t *bytes, uint32_t count, uint64_t offset)
{
    struct fault *fault;
    if (refused(WRITE, offset, count) != 0) return -1;
    if (bytes) keep_pace(WRITE, count);
    /* Counted before it is stored: a request that is in flight when the disk is taken away was one. */
    if (bytes) {
        counters->bytes_written += count;
        counters->writes++;
    } else {
        counters->bytes_zeroed += count;
    }
    if (strikes(DROP, WRITE, offset, offset + count)) return 0;
    if (store(bytes, count, offset) != 0) return -1;
    if ((fault = strikes(FLIP, WRITE, offset, offset + count))) {
        uint8_t byte;
        if (load(&byte, 1, fault->from) != 0) return -1;
        byte ^= 0x10;
        return store(&byte, 1, fault->from);
    }
    return 0;
}

static int disk_pwrite(void *handle, const void *bytes, uint32_t count, uint64_t offset, uint32_t flags)
{
    (void)handle, (void)flags;
    return write_or_zero(bytes, count, offset);
}

static int disk_zero(void *handle, uint32_t count, uint64_t offset, uint32_t flags)
{
    (void)handle, (void)flags;
    return write_or_zero(NULL, count, offset);
}

static int disk_pread(void *handle, void *bytes, uint32_t count, uint64_t offset, uint32_t flags)
{
    struct fault *fault;
    (void)handle, (void)flags;
    if (refused(READ, offset, count) != 0) return -1;
    keep_pace(READ, count);
    counters->bytes_read += count;
    counters->reads++;
    if (load(bytes, count, offset) != 0) return -1;
    /* A range that starts before the request is flipped in its first byte. */
    if ((fault = strikes(FLIP, READ, offset, offset + count)))
        ((uint8_t *)bytes)[fault->from > offset ? fault->from - offset : 0] ^= 0x10;
    return 0;
}

static int disk_flush(void *handle, uint32_t flags)
{
    (void)handle, (void)flags;
    if (refused(FLUSH, 0, 0) != 0) return -1;
    keep_pace(FLUSH, 0);
    counters->flushes++;
    return 0;
}

static struct nbdkit_plugin plugin = {
    .name = "faulty-disk",
    .config = disk_config,
    .config_complete = disk_config_complete,
    .after_fork = disk_after_fork,
    .open = disk_open,
    .get_size = disk_get_size,
    .can_multi_conn = disk_can_multi_conn,
    .can_trim = disk_can_trim,
    .can_zero = disk_can_zero,
    .can_fast_zero = disk_can_fast_zero,
    .pread = disk_pread,
    .pwrite = disk_pwrite,
    .zero = disk_zero,
    .trim = disk_zero,
    .flush = disk_flush,
    .errno_is_preserved = 0,
};

NBDKIT_REGISTER_PLUGIN(plugin)
