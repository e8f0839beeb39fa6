/* A disk that fails on purpose: preloaded into a process (ld.so(8), LD_PRELOAD), it counts what the process does to the
 * files below FAULTY_DISK_BELOW, and at one chosen point, or from there on, does what struct control asks for.
 *
 * A point is one call that changes a file or makes a change durable. The control lies in the file FAULTY_DISK_CONTROL,
 * shared with the test, so that the test sees the count and can arm a process that is running.
 *
 * CUT is a power failure: before the process dies, each write that was not synced since is taken back with a chance of
 * one half, by 512 bytes at a time, the last first. It takes back contents, not names or lengths of files.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <unistd.h>

enum action { NONE, KILL, TEAR, CUT, FAIL };

struct control {
    int64_t passed; /* points so far */
    int64_t at;     /* the point that is hit, counted from 1; 0: none */
    int64_t action;
    int64_t error;  /* for FAIL: the errno */
    int64_t lasting; /* for FAIL: so many points from there on */
    int64_t seed;
};

struct undone {
    struct undone *before;
    dev_t device;
    ino_t inode;
    int descriptor;
    off_t place;
    size_t length;
    char was[];
};

struct file {
    dev_t device;
    ino_t inode;
    int descriptor;
};

enum { MOST_FILES = 256 };

static struct file files[MOST_FILES];
static int files_known;
static struct control unused, *control = &unused;
static const char *below;
static size_t below_length;
static struct undone *unsynced;
static pthread_mutex_t guard = PTHREAD_MUTEX_INITIALIZER;

static ssize_t (*real_pwrite)(int, const void *, size_t, off_t);
static ssize_t (*real_write)(int, const void *, size_t);
static int (*real_fsync)(int), (*real_fdatasync)(int), (*real_ftruncate)(int, off_t);
static int (*real_rename)(const char *, const char *), (*real_unlink)(const char *);

__attribute__((constructor)) static void begin(void) {
    real_pwrite = dlsym(RTLD_NEXT, "pwrite");
    real_write = dlsym(RTLD_NEXT, "write");
    real_fsync = dlsym(RTLD_NEXT, "fsync");
    real_fdatasync = dlsym(RTLD_NEXT, "fdatasync");
    real_ftruncate = dlsym(RTLD_NEXT, "ftruncate");
    real_rename = dlsym(RTLD_NEXT, "rename");
    real_unlink = dlsym(RTLD_NEXT, "unlink");
    const char *path = getenv("FAULTY_DISK_CONTROL");
    int file = path ? open(path, O_RDWR | O_CLOEXEC) : -1;
    if (file < 0) return;
    void *mapped = mmap(NULL, sizeof(struct control), PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    close(file);
    if (mapped == MAP_FAILED) abort();
    control = mapped;
    below = getenv("FAULTY_DISK_BELOW");
    below_length = below ? strlen(below) : 0;
}

static int concerns_name(const char *path) {
    return below && strncmp(path, below, below_length) == 0;
}

static int concerns(int descriptor) {
    char link[40], path[4096];
    if (!below) return 0;
    snprintf(link, sizeof link, "/proc/self/fd/%d", descriptor);
    ssize_t length = readlink(link, path, sizeof path - 1);
    if (length < 0) return 0;
    path[length] = 0;
    return concerns_name(path);
}

/* One descriptor of our own per file: SQLite's may be closed before the lights go out. It is never closed, since closing
 * any drops the locks that the process has on the file (fcntl(2)). */
static int own_descriptor(int descriptor, const struct stat *found) {
    for (int n = 0; n < files_known; n++)
        if (files[n].device == found->st_dev && files[n].inode == found->st_ino) return files[n].descriptor;
    char name[40];
    snprintf(name, sizeof name, "/proc/self/fd/%d", descriptor);
    int again = open(name, O_RDWR | O_CLOEXEC);
    if (again < 0 || files_known == MOST_FILES) abort();
    files[files_known++] = (struct file){found->st_dev, found->st_ino, again};
    return again;
}

static void remember(int descriptor, size_t length, off_t place) {
    struct stat found;
    if (fstat(descriptor, &found) != 0 || !S_ISREG(found.st_mode)) return;
    int again = own_descriptor(descriptor, &found);
    struct undone *one = calloc(1, sizeof *one + length);
    if (!one) abort();
    (void)!pread(again, one->was, length, place); /* what is beyond the end was zero */
    *one = (struct undone){unsynced, found.st_dev, found.st_ino, again, place, length};
    unsynced = one;
}

static void forget(int descriptor) {
    struct stat found;
    if (fstat(descriptor, &found) != 0) return;
    for (struct undone **link = &unsynced; *link;) {
        struct undone *one = *link;
        if (one->device == found.st_dev && one->inode == found.st_ino) {
            *link = one->before;
            free(one);
        } else {
            link = &one->before;
        }
    }
}

static void cut(void) {
    unsigned short state[3] = {(unsigned short)control->seed, (unsigned short)(control->seed >> 16), (unsigned short)control->at};
    for (struct undone *one = unsynced; one; one = one->before)
        for (size_t from = 0; from < one->length; from += 512)
            if (erand48(state) < 0.5) {
                size_t length = one->length - from < 512 ? one->length - from : 512;
                (void)!real_pwrite(one->descriptor, one->was + from, length, one->place + (off_t)from);
            }
}

static void die(void) {
    kill(getpid(), SIGKILL);
    for (;;) pause();
}

/* Counts a point; returns whether the call fails, with errno set, and how much of a write is done before a TEAR. */
static int point(int descriptor, const void *bytes, size_t length, off_t place) {
    int64_t number = __atomic_add_fetch(&control->passed, 1, __ATOMIC_SEQ_CST);
    int64_t at = control->at;
    if (at <= 0 || number < at) return 0;
    if (control->action == FAIL) {
        if (number >= at + control->lasting) return 0;
        errno = (int)control->error;
        return 1;
    }
    if (number != at) return 0;
    if (control->action == TEAR && bytes && length > 1) (void)!real_pwrite(descriptor, bytes, length / 2, place);
    if (control->action == CUT) cut();
    if (control->action != NONE) die();
    return 0;
}

static int failing(int descriptor) {
    return point(descriptor, NULL, 0, 0);
}

ssize_t pwrite(int descriptor, const void *bytes, size_t length, off_t place) {
    if (!concerns(descriptor)) return real_pwrite(descriptor, bytes, length, place);
    pthread_mutex_lock(&guard);
    int failed = point(descriptor, bytes, length, place);
    if (!failed && control->action == CUT) remember(descriptor, length, place);
    pthread_mutex_unlock(&guard);
    return failed ? -1 : real_pwrite(descriptor, bytes, length, place);
}

ssize_t pwrite64(int descriptor, const void *bytes, size_t length, off_t place) {
    return pwrite(descriptor, bytes, length, place);
}

ssize_t write(int descriptor, const void *bytes, size_t length) {
    if (!concerns(descriptor)) return real_write(descriptor, bytes, length);
    pthread_mutex_lock(&guard);
    off_t place = lseek(descriptor, 0, SEEK_CUR);
    int failed = point(descriptor, bytes, length, place);
    if (!failed && control->action == CUT) remember(descriptor, length, place);
    pthread_mutex_unlock(&guard);
    return failed ? -1 : real_write(descriptor, bytes, length);
}

static int sync_with(int (*sync)(int), int descriptor) {
    if (!concerns(descriptor)) return sync(descriptor);
    pthread_mutex_lock(&guard);
    int failed = failing(descriptor);
    pthread_mutex_unlock(&guard);
    int answer = failed ? -1 : sync(descriptor);
    pthread_mutex_lock(&guard);
    if (answer == 0) forget(descriptor);
    pthread_mutex_unlock(&guard);
    return answer;
}

int fsync(int descriptor) { return sync_with(real_fsync, descriptor); }

int fdatasync(int descriptor) { return sync_with(real_fdatasync, descriptor); }

int ftruncate(int descriptor, off_t length) {
    if (concerns(descriptor) && failing(descriptor)) return -1;
    return real_ftruncate(descriptor, length);
}

int ftruncate64(int descriptor, off_t length) { return ftruncate(descriptor, length); }

int rename(const char *from, const char *to) {
    if (concerns_name(to) && failing(-1)) return -1;
    return real_rename(from, to);
}

int unlink(const char *path) {
    if (concerns_name(path) && failing(-1)) return -1;
    return real_unlink(path);
}
