/* process_mark.c - a process by boot, namespace, number and start: numbers alone are used again. */
#include "base/process_mark.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { WORD = 64 };

struct mark {
    char boot[WORD], space[WORD], host[WORD];
    long pid;
    unsigned long long start; /* ticks since the boot */
};

/* The start of a small file of /proc. */
static bool read_text(const char *path, char *buf, size_t len)
{
    int const fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t const n = fd < 0 ? -1 : read(fd, buf, len - 1);

    if (fd >= 0) close(fd);
    if (n < 0) return false;
    buf[n] = '\0';
    return true;
}

/* What /proc says of a process. */
struct process_facts {
    char state;
    int threads;
    unsigned long long start;
};

/* Fields 3, 20 and 22 of its stat; what stands before may hold blanks, in brackets. */
static bool read_facts(long pid, struct process_facts *p)
{
    char path[64], text[1024];

    snprintf(path, sizeof path, "/proc/%ld/stat", pid);
    if (!read_text(path, text, sizeof text)) return false;
    const char *const at = strrchr(text, ')');
    return at && sscanf(at,
                        ") %c %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %d "
                        "%*s %llu",
                        &p->state, &p->threads, &p->start) == 3;
}

/* All of it has ended, and whoever started it has not asked how, as in a container whose first
 * process never does. */
static bool is_zombie(const struct process_facts *p)
{
    return (p->state == 'Z' || p->state == 'X') && p->threads <= 1;
}

static bool read_machine(struct mark *m)
{
    if (!read_text("/proc/sys/kernel/random/boot_id", m->boot, sizeof m->boot)) return false;
    m->boot[strcspn(m->boot, "\n")] = '\0';
    ssize_t const n = readlink("/proc/self/ns/pid", m->space, sizeof m->space - 1);
    if (n < 0) return false;
    m->space[n] = '\0';
    return true;
}

status process_mark(char mark[PROCESS_MARK])
{
    struct mark m = { .pid = (long)getpid() };
    struct process_facts self;

    gethostname(m.host, sizeof m.host - 1);
    if (!read_machine(&m) || !read_facts(m.pid, &self))
        return fail(ST_IO, "/proc does not identify this process: %s", strerror(errno));
    snprintf(mark, PROCESS_MARK, "%s %s %ld %llu %s\n", m.boot, m.space, m.pid, self.start,
             m.host[0] ? m.host : "-");
    return ST_OK;
}

static bool parse_mark(struct mark *m, const char *mark)
{
    *m = (struct mark){ 0 };
    return sscanf(mark, "%63s %63s %ld %llu %63s", m->boot, m->space, &m->pid, &m->start,
                  m->host) == 5 &&
           m->pid > 0;
}

enum process_state process_mark_state(const char *mark)
{
    struct mark m, here = { 0 };
    struct process_facts there;

    if (!parse_mark(&m, mark) || !read_machine(&here)) return PROCESS_UNKNOWN;
    if (strcmp(m.boot, here.boot) != 0 || strcmp(m.space, here.space) != 0) return PROCESS_UNKNOWN;
    if (kill((pid_t)m.pid, 0) && errno == ESRCH) return PROCESS_GONE;
    if (!read_facts(m.pid, &there)) return PROCESS_UNKNOWN;
    return there.start == m.start && !is_zombie(&there) ? PROCESS_LIVES : PROCESS_GONE;
}

const char *process_mark_words(const char *mark, char buf[PROCESS_WORDS])
{
    struct mark m;

    if (!parse_mark(&m, mark)) snprintf(buf, PROCESS_WORDS, "an unknown process");
    else snprintf(buf, PROCESS_WORDS, "process %ld on %s", m.pid, m.host);
    return buf;
}
