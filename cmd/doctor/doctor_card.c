/* doctor_card.c - CUDA: whether it was built in, the libraries, the cards. */
#include "base/strbuf.h"
#include "cmd/doctor/doctor_internal.h"
#include "comm/comm.h"
#include "kernels/kern_device.h"

void doctor_card(struct doctor *d)
{
    char libraries[KERN_DEVICE_TEXT];
    const char *const why = kern_device_absent();

    if (!kern_device_built()) {
        doctor_say(d, DOCTOR_OK, "cuda", "built without it; make CUDA=1 needs nvcc");
        return;
    }
    doctor_say(d, DOCTOR_OK, "cuda", "%s", kern_device_libraries(libraries));
    doctor_say(d, DOCTOR_OK, "nccl", "%s",
               comm_nccl_absent() ? comm_nccl_absent() : "built with it");
    if (why) doctor_say(d, DOCTOR_WARN, "card", "%s: the processor computes", why);
    for (int i = 0; i < kern_device_count(); i++) {
        struct kern_device card;
        if (kern_device_about(&card, i) != ST_OK) {
            doctor_say(d, DOCTOR_WARN, "card", "%d: %s", i, error_last()->msg);
            error_clear();
            continue;
        }
        bool const old = card.major < 8;
        doctor_say(d, old ? DOCTOR_WARN : DOCTOR_OK, "card",
                   "%d: %s, sm_%d%d, %d processors, %.1f of %.1f GiB free%s", i, card.name,
                   card.major, card.minor, card.processors, bytes_gib(card.free),
                   bytes_gib(card.memory), old ? "; sm_80 or newer is needed" : "");
    }
}
