/* doctor_machine.c - processor, memory, limits, and CUDA: whether it was built in, its
 * libraries, the cards. */
#include "base/pool.h"
#include "base/strbuf.h"
#include "base/version.h"
#include "cmd/doctor/doctor_internal.h"
#include "comm/comm.h"
#include "kernels/kern_device.h"

#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/statvfs.h>
#include <unistd.h>

/* The value of "key : value" or "key:  value" in one of the kernel's lists. */
static bool read_list_value(const char *path, const char *key, char *value, size_t size)
{
    FILE *const f = fopen(path, "r");
    char line[8192];
    bool found = false;

    if (!f) return false;
    while (!found && fgets(line, sizeof line, f)) {
        char *const colon = strchr(line, ':');
        if (!colon || strncmp(line, key, strlen(key))) continue;
        size_t const skip = strspn(colon + 1, " \t");
        snprintf(value, size, "%.*s", (int)strcspn(colon + 1 + skip, "\n"), colon + 1 + skip);
        found = true;
    }
    fclose(f);
    return found;
}

static bool has_flag(const char *flags, const char *flag)
{
    size_t const len = strlen(flag);

    for (const char *at = flags; (at = strstr(at, flag)); at += len)
        if ((at == flags || at[-1] == ' ') && (at[len] == ' ' || !at[len])) return true;
    return false;
}

void doctor_cpu(struct doctor *d)
{
    char model[VERSION_CPU], flags[8192] = "";

    read_list_value("/proc/cpuinfo", "flags", flags, sizeof flags);
    doctor_print(d, DOCTOR_OK, "cpu", "%s, %d usable by this process of %ld", version_cpu(model),
                 pool_cpus(), sysconf(_SC_NPROCESSORS_ONLN));
    if (has_flag(flags, "amx_bf16")) doctor_print(d, DOCTOR_OK, "bf16", "AMX tiles");
    else if (has_flag(flags, "avx512_bf16")) doctor_print(d, DOCTOR_OK, "bf16", "AVX-512, no AMX");
    else
        doctor_print(d, DOCTOR_WARN, "bf16",
                     "neither AMX nor AVX512_BF16: bf16 is emulated; precision f32 may be faster");
    if (!has_flag(flags, "avx512f"))
        doctor_print(d, DOCTOR_WARN, "vectors", "no AVX-512: expect a fraction of the speed");
}

void doctor_memory(struct doctor *d)
{
    char text[64];
    unsigned long long kib = 0;
    struct statvfs shm;

    if (read_list_value("/proc/meminfo", "MemAvailable", text, sizeof text) &&
        sscanf(text, "%llu", &kib) == 1)
        doctor_print(d, bytes_gib(kib * 1024.0) < 4 ? DOCTOR_WARN : DOCTOR_OK, "memory",
                     "%.1f GiB available%s", bytes_gib(kib * 1024.0),
                     bytes_gib(kib * 1024.0) < 4 ? ": enough for small models only" : "");
    else doctor_print(d, DOCTOR_WARN, "memory", "/proc/meminfo does not say how much is available");

    if (statvfs("/dev/shm", &shm)) {
        doctor_print(d, DOCTOR_WARN, "/dev/shm",
                     "missing: ranks of one machine will talk more slowly");
        return;
    }
    double const size = (double)shm.f_blocks * (double)shm.f_frsize;
    bool const small = bytes_gib(size) < 1;
    doctor_print(d, small ? DOCTOR_WARN : DOCTOR_OK, "/dev/shm", "%.2f GiB%s", bytes_gib(size),
                 small ? ": several ranks need 1 GiB; in a container give --shm-size" : "");
}

static void check_limit(struct doctor *d, int which, const char *name, double least,
                        const char *advice)
{
    struct rlimit r;
    char value[64] = "unlimited";

    if (getrlimit((__rlimit_resource_t)which, &r)) {
        doctor_print(d, DOCTOR_WARN, name, "cannot be read");
        return;
    }
    bool const low = r.rlim_cur != RLIM_INFINITY && (double)r.rlim_cur < least;
    if (r.rlim_cur != RLIM_INFINITY)
        snprintf(value, sizeof value, "%llu", (unsigned long long)r.rlim_cur);
    doctor_print(d, low ? DOCTOR_WARN : DOCTOR_OK, name, "%s%s%s", value, low ? ": " : "",
                 low ? advice : "");
}

void doctor_limits(struct doctor *d)
{
    double const no_limit = 1e18;

    check_limit(d, RLIMIT_NOFILE, "open files", 256, "raise it to 256, ulimit -n 256");
    check_limit(d, RLIMIT_FSIZE, "file size", no_limit,
                "long clips are cut short; ulimit -f unlimited");
    check_limit(d, RLIMIT_AS, "address space", no_limit,
                "mapped checkpoints count; ulimit -v unlimited");
}

void doctor_card(struct doctor *d)
{
    char libraries[KERN_DEVICE_TEXT];
    const char *const why = kern_device_absent();

    if (!kern_device_built()) {
        doctor_print(d, DOCTOR_OK, "cuda", "built without it; make CUDA=1 needs nvcc");
        return;
    }
    doctor_print(d, DOCTOR_OK, "cuda", "%s", kern_device_libraries(libraries));
    doctor_print(d, DOCTOR_OK, "nccl", "%s",
                 comm_nccl_absent() ? comm_nccl_absent() : "built with it");
    if (why) doctor_print(d, DOCTOR_WARN, "card", "%s: the processor computes", why);
    for (int i = 0; i < kern_device_count(); i++) {
        struct kern_device card;
        if (kern_device_about(&card, i) != ST_OK) {
            doctor_print(d, DOCTOR_WARN, "card", "%d: %s", i, error_last()->msg);
            error_clear();
            continue;
        }
        bool const old = card.major < 8;
        doctor_print(d, old ? DOCTOR_WARN : DOCTOR_OK, "card",
                     "%d: %s, sm_%d%d, %d processors, %.1f of %.1f GiB free%s", i, card.name,
                     card.major, card.minor, card.processors, bytes_gib(card.free),
                     bytes_gib(card.memory), old ? "; sm_80 or newer is needed" : "");
    }
}
