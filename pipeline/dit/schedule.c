/* schedule.c - sigmas and timesteps, rounded to float32 where the reference rounds. */
#include "pipeline/dit/schedule.h"

#include <math.h>

enum { BASE_STEPS = 1000 };

/* float32 throughout, as the table is made in the reference. */
static float sigma_at(int i, float shift)
{
    float const s = (float)(BASE_STEPS - i) / (float)BASE_STEPS;
    return shift * s / (1.0f + (shift - 1.0f) * s);
}

static int nearest_step(float timestep, float shift)
{
    int best = 0;

    for (int i = 1; i < BASE_STEPS; i++)
        if (fabsf(sigma_at(i, shift) * (float)BASE_STEPS - timestep) <
            fabsf(sigma_at(best, shift) * (float)BASE_STEPS - timestep))
            best = i;
    return best;
}

/* Append entries. name: of the steps, for messages. */
static status add_levels(struct schedule *out, const char *name, const double *steps, int levels,
                         bool warp, double shift)
{
    if (levels < 1 || levels > SCHEDULE_LEVELS)
        return fail(ST_ARG, "%s: %d levels; 1 to %d are allowed", name, levels, SCHEDULE_LEVELS);
    if (!(shift > 0.0 && shift <= 1000.0))
        return fail(ST_ARG, "shift: %g; a number above 0 up to 1000 is allowed", shift);

    for (int k = 0; k < levels; k++) {
        if (!(steps[k] >= 1.0 && steps[k] <= BASE_STEPS) || (k && !(steps[k] < steps[k - 1])))
            return fail(ST_ARG, "%s[%d]: %g; falling numbers from 1000 to 1 are allowed", name, k,
                        steps[k]);
        if (warp && steps[k] != floor(steps[k]))
            return fail(ST_ARG, "%s[%d]: %g; with warp a step is a whole number", name, k,
                        steps[k]);
        float const f = (float)shift;
        int const i = warp ? BASE_STEPS - (int)steps[k] : nearest_step((float)steps[k], f);
        int const to = out->entries++;
        out->sigma[to] = sigma_at(i, f);
        out->timestep[to] = warp ? out->sigma[to] * (float)BASE_STEPS : (float)steps[k];
    }
    return ST_OK;
}

status schedule_make(struct schedule *out, const double *steps, int levels, bool warp, double shift)
{
    *out = (struct schedule){ .levels = levels, .usual = levels, .opening = levels };
    return add_levels(out, "steps", steps, levels, warp, shift);
}

status schedule_set_opening(struct schedule *s, const double *steps, int levels, bool warp,
                            double shift)
{
    s->opening = levels;
    if (levels > s->levels) s->levels = levels;
    return add_levels(s, "first_block_steps", steps, levels, warp, shift);
}

int schedule_entry(const struct schedule *s, bool opening, int level)
{
    return (opening ? s->entries - s->opening : 0) + level;
}
