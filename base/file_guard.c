/*
 * file_guard.c - a mapped file that gets cut ends the process with the file's name.
 *
 * Reading a page that the file no longer has, or that its disk or network cannot give, raises
 * SIGBUS. The handler may use next to nothing: it looks the address up in a fixed table, writes one
 * line and leaves. A slot is taken by its flag, filled, and only then shown by its address.
 */
#define _DEFAULT_SOURCE
#include "base/file_guard.h"

#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <unistd.h>

enum { MAPS = 1024, PATH_SHOWN = 512, EXIT_CODE = 1 };

static struct {
    atomic_bool taken;
    _Atomic(const unsigned char *) data; /* NULL: not to be looked at */
    size_t size;
    char path[PATH_SHOWN];
} maps[MAPS];

void file_guard_add(const unsigned char *data, size_t size, const char *path)
{
    for (int i = 0; i < MAPS; i++) {
        bool free_slot = false;
        if (!atomic_compare_exchange_strong(&maps[i].taken, &free_slot, true)) continue;
        size_t const len = strlen(path);
        size_t const n = len < PATH_SHOWN ? len : PATH_SHOWN - 1;
        maps[i].size = size;
        memcpy(maps[i].path, path, n);
        maps[i].path[n] = '\0';
        atomic_store(&maps[i].data, data);
        return;
    }
}

void file_guard_remove(const unsigned char *data)
{
    for (int i = 0; i < MAPS; i++) {
        if (atomic_load(&maps[i].data) != data) continue;
        atomic_store(&maps[i].data, NULL);
        atomic_store(&maps[i].taken, false);
        return;
    }
}

static void write_text(const char *text)
{
    ssize_t const n = write(STDERR_FILENO, text, strlen(text));
    (void)n; /* nothing is left to do about it */
}

static void report_bus_error(int number, siginfo_t *info, void *context)
{
    uintptr_t const at = (uintptr_t)info->si_addr;

    (void)context;
    for (int i = 0; i < MAPS; i++) {
        uintptr_t const from = (uintptr_t)atomic_load(&maps[i].data);
        if (!from || at < from || at - from >= maps[i].size) continue;
        write_text("rollmill: io: ");
        write_text(maps[i].path);
        write_text(": cannot be read: it was cut while in use, or its disk failed\n");
        _exit(EXIT_CODE);
    }
    signal(number, SIG_DFL); /* not ours, or sent by somebody: the process ends as ever */
    raise(number);
}

void file_guard_begin(void)
{
    struct sigaction a = { .sa_flags = SA_SIGINFO };

    a.sa_sigaction = report_bus_error;
    sigemptyset(&a.sa_mask);
    sigaction(SIGBUS, &a, NULL);
}
