/* kern_device.c - cards for people, from what CUDA says of them. */
#include "kernels/kern_device.h"
#include "kernels/cuda/cuda_dev.h"

#include <stdio.h>

const char *kern_device_absent(void) { return cuda_dev_absent(); }
bool kern_device_built(void) { return true; }
int kern_device_count(void) { return cuda_dev_count(); }

status kern_device_about(struct kern_device *out, int device)
{
    struct cuda_dev_facts f;
    size_t free;

    TRY(cuda_dev_facts(device, &f));
    TRY(cuda_dev_select(device));
    TRY(cuda_dev_memory_free(&free));
    *out = (struct kern_device){ .major = f.major,
                                 .minor = f.minor,
                                 .processors = f.processors,
                                 .memory = f.memory,
                                 .free = free,
                                 .clock_khz = f.clock_khz };
    snprintf(out->name, sizeof out->name, "%s", f.name);
    return ST_OK;
}

const char *kern_device_libraries(char text[KERN_DEVICE_TEXT])
{
    struct cuda_dev_facts f;

    if (cuda_dev_absent() || cuda_dev_facts(0, &f) != ST_OK) {
        error_clear();
        snprintf(text, KERN_DEVICE_TEXT, "built with %s", cuda_versions);
        return text;
    }
    snprintf(text, KERN_DEVICE_TEXT, "runtime %d.%d, driver up to %d.%d, built with %s",
             f.runtime / 1000, f.runtime % 1000 / 10, f.driver / 1000, f.driver % 1000 / 10,
             cuda_versions);
    return text;
}
