#include "cmd/bench/bench_model.h"
#include "cmd/bench/bench_model_rows.h"
#include "kernels/kern_device.h"

status bench_card_bytes(const struct bench_model_config *c, uint64_t *bytes)
{
    struct kern_device d;

    *bytes = 0;
    if (!c->backend->devices) return ST_OK;
    TRY(kern_device_about(&d, 0));
    *bytes = d.memory - d.free;
    return ST_OK;
}

const struct bench_row bench_rows[] = {
    { "tick", "five noise stages and the clean one", bench_time_tick },
    { "tick-rank", "one of six ranks, exchange left out", bench_time_rank },
    { "vae-block", "3 latent frames to 12 pictures", bench_time_vae },
    { "film", "a tick, then a block decoded", bench_time_film },
    { "text", "a prompt, weights at hand", bench_time_text },
};
const int bench_row_count = COUNT_OF(bench_rows);
