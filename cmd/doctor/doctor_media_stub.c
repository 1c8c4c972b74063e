/* doctor_media_stub.c - in place of doctor_media.c in a build with MEDIA=0. */
#include "cmd/doctor/doctor_internal.h"

void doctor_media(struct doctor *d)
{
    doctor_print(d, DOCTOR_OK, "video", "built with MEDIA=0: verify and bench, but no render");
}
