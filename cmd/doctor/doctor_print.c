/* doctor_print.c - a finding is printed and counted. */
#include "cmd/doctor/doctor_internal.h"

#include <stdarg.h>
#include <stdio.h>

void doctor_print(struct doctor *d, enum doctor_grade grade, const char *what, const char *fmt, ...)
{
    static const char *const words[] = { "ok", "warn", "FAIL" };
    va_list ap;

    d->warnings += grade == DOCTOR_WARN;
    d->failures += grade == DOCTOR_FAIL;
    printf("%-5s %-12s ", words[grade], what);
    va_start(ap, fmt);
    vprintf(fmt, ap);
    va_end(ap);
    putchar('\n');
}
