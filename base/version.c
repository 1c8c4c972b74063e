/* version.c - what this build is; the commit and the flags come from the Makefile. */
#include "base/version.h"

#include <stdio.h>
#include <string.h>

const char version_program[] = "rollmill 0.1.0";
const char version_commit[] = VERSION_COMMIT; /* these two come from the Makefile */
const char version_build[] = "cc " __VERSION__ ", " VERSION_FLAGS;

const char *version_cpu(char buf[VERSION_CPU])
{
    FILE *const f = fopen("/proc/cpuinfo", "r");
    char line[512];

    snprintf(buf, VERSION_CPU, "unknown");
    while (f && fgets(line, sizeof line, f)) {
        const char *const colon = strchr(line, ':');
        if (!colon || strncmp(line, "model name", 10) != 0) continue;
        const char *const name = colon + 1 + strspn(colon + 1, " \t");
        snprintf(buf, VERSION_CPU, "%.*s", (int)strcspn(name, "\n"), name);
        break;
    }
    if (f) fclose(f);
    return buf;
}
