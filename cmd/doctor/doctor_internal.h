/*
 * doctor_internal.h - what `rollmill doctor` asks of the machine.
 *
 * A check looks at one thing and says what it found, one line each. Further
 * checks are one function here and one row in cmd_doctor.c.
 */
#ifndef DOCTOR_INTERNAL_H
#define DOCTOR_INTERNAL_H

#include "base/base.h"

enum doctor_grade { DOCTOR_OK, DOCTOR_WARN, DOCTOR_FAIL };

struct doctor {
    const char *dir; /* where clips would go */
    int warnings, failures;
};

/* One finding. A warning or failure says what to do about it. */
void doctor_print(struct doctor *d, enum doctor_grade grade, const char *what, const char *fmt, ...)
    PRINTF_LIKE(4, 5);

void doctor_cpu(struct doctor *d); /* doctor_machine.c */
void doctor_memory(struct doctor *d);
void doctor_limits(struct doctor *d);
void doctor_card(struct doctor *d);
void doctor_disk(struct doctor *d);  /* doctor_disk.c */
void doctor_media(struct doctor *d); /* doctor_media.c; doctor_media_stub.c */

#endif /* DOCTOR_INTERNAL_H */
