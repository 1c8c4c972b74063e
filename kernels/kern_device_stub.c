/* kern_device_stub.c - in place of kern_device.c in a build without CUDA. */
#include "kernels/kern_device.h"

#include <stdio.h>

const char *kern_device_absent(void) { return "this program was built without CUDA"; }
bool kern_device_built(void) { return false; }
int kern_device_count(void) { return 0; }

status kern_device_about(struct kern_device *out, int device)
{
    *out = (struct kern_device){ 0 };
    return fail(ST_DEVICE, "device %d: %s", device, kern_device_absent());
}

const char *kern_device_libraries(char text[KERN_DEVICE_TEXT])
{
    snprintf(text, KERN_DEVICE_TEXT, "built without CUDA");
    return text;
}
