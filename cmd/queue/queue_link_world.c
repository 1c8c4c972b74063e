/* queue_link_world.c - who this world is to the queue, and to its neighbours on this machine. */
#define _DEFAULT_SOURCE /* gethostname */
#include "cmd/queue/cmd_queue_internal.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

static void read_line(const char *path, char *to, size_t size)
{
    FILE *const f = fopen(path, "r");

    if (!f || !fgets(to, (int)size, f)) to[0] = '\0';
    to[strcspn(to, "\n")] = '\0';
    if (f) fclose(f);
}

/* Where a pid means something: this boot, this pid namespace. */
static void name_place(struct queue_link *l)
{
    char boot[64], ns[64] = "";
    ssize_t const n = readlink("/proc/self/ns/pid", ns, sizeof ns - 1);

    read_line("/proc/sys/kernel/random/boot_id", boot, sizeof boot);
    if (n <= 0 || !boot[0]) l->place[0] = '\0';
    else snprintf(l->place, sizeof l->place, "%s %s", boot, ns);
}

static void name_launcher(struct queue_link *l)
{
    const char *const job = getenv("SLURM_JOB_ID"), *const task = getenv("SLURM_ARRAY_TASK_ID");

    if (job)
        snprintf(l->launcher, sizeof l->launcher, "slurm %s%s%s", job, task ? "_" : "",
                 task ? task : "");
}

static int64_t memory_mib(void)
{
    long const pages = sysconf(_SC_PHYS_PAGES), bytes = sysconf(_SC_PAGESIZE);
    return pages > 0 && bytes > 0 ? (int64_t)pages / (1024 * 1024 / bytes) : 0;
}

status queue_link_identify(struct queue_link *l)
{
    unsigned char r[16];

    if (getrandom(r, sizeof r, 0) != sizeof r)
        return fail(ST_IO, "no random bytes: %s", strerror(errno));
    for (int i = 0; i < COUNT_OF(r); i++) snprintf(l->nonce + 2 * i, 3, "%02x", r[i]);
    if (gethostname(l->host, sizeof l->host - 1)) snprintf(l->host, sizeof l->host, "unknown");
    name_place(l);
    name_launcher(l);
    l->world = (struct queue_world){ .host = l->host,
                                     .place = l->place,
                                     .nonce = l->nonce,
                                     .launcher = l->launcher,
                                     .pid = getpid(),
                                     .pid_start = queue_pid_start(getpid()),
                                     .mib = memory_mib(),
                                     .lease_ms = l->c.lease_ms };
    return ST_OK;
}
