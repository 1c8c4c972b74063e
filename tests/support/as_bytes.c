#include "tests/support/as_bytes.h"
#include "tests/support/unit.h"

enum { POISON = 0xee };

unsigned char *room_for_bytes(int count, const struct pixels_layout *layout)
{
    size_t const bytes = (size_t)(count * layout->bytes);
    unsigned char *const room = malloc(bytes + 1);

    assert_non_null(room);
    return memset(room, POISON, bytes);
}

struct pictures as_bytes(const float *rgb, int count, const struct pixels_layout *layout)
{
    int64_t const values = (int64_t)layout->width * layout->height * 3;
    float *const scratch = malloc((size_t)layout->width * PIXELS_SCRATCH * sizeof *scratch);
    unsigned char *const out = room_for_bytes(count, layout);

    assert_non_null(scratch);
    for (int i = 0; i < count; i++)
        pixels_picture(&(struct pixels_band){ .rgb = rgb + i * values,
                                              .layout = layout,
                                              .out = out + i * layout->bytes,
                                              .scratch = scratch });
    free(scratch);
    return (struct pictures){ out, count, layout->formats };
}

void free_bytes(struct pictures *p)
{
    free((void *)(uintptr_t)p->at);
    *p = (struct pictures){ 0 };
}
