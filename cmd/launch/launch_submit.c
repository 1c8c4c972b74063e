/* launch_submit.c - a script into sbatch's standard input; no shell is in between. */
#include "cmd/launch/launch_internal.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

/* The script as an open file at its beginning. */
static status open_script(FILE **out, const struct strbuf *script)
{
    *out = tmpfile();
    if (*out && fwrite(script->s, 1, script->len, *out) == script->len && !fflush(*out) &&
        lseek(fileno(*out), 0, SEEK_SET) == 0)
        return ST_OK;
    status const st = fail(ST_IO, "a temporary file for the script: %s", strerror(errno));
    if (*out) fclose(*out);
    return st;
}

static _Noreturn void become_sbatch(int input)
{
    enum { NOT_FOUND = 127 };

    if (dup2(input, STDIN_FILENO) >= 0) execlp("sbatch", "sbatch", (char *)NULL);
    _exit(NOT_FOUND);
}

static status await_sbatch(pid_t pid)
{
    enum { NOT_FOUND = 127 };
    int how = 0;

    while (waitpid(pid, &how, 0) < 0)
        if (errno != EINTR) return fail(ST_IO, "sbatch: %s", strerror(errno));
    if (!WIFEXITED(how)) return fail(ST_IO, "sbatch was killed by signal %d", WTERMSIG(how));
    if (WEXITSTATUS(how) == NOT_FOUND) return fail(ST_IO, "sbatch cannot be run here");
    if (WEXITSTATUS(how))
        return fail(ST_IO, "sbatch refuses the script, with code %d", WEXITSTATUS(how));
    return ST_OK;
}

status launch_submit(const struct strbuf *script)
{
    FILE *f;

    TRY(open_script(&f, script));
    fflush(stdout); /* the child's copy must hold nothing */
    pid_t const pid = fork();
    if (pid == 0) become_sbatch(fileno(f));
    status const st = pid < 0 ? fail(ST_IO, "fork: %s", strerror(errno)) : await_sbatch(pid);
    fclose(f);
    return st;
}
