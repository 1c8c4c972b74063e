/* job_numerics.c - a job's numerics and the options that say the same. */
#include "cmd/job_numerics.h"
#include "base/choice.h"

#include <string.h>

/* From 1; 0: nothing is said. */
static int place_of(const char *choices, const char *word)
{
    return word ? choice_find(choices, word) + 1 : 0;
}

struct clip_numerics job_numerics_given(const struct backend_request *r)
{
    return (struct clip_numerics){
        .choice = { [CLIP_WIRE] = place_of(CLIP_WIRE_CHOICES, r->wire),
                    [CLIP_DETERMINISM] = place_of(CLIP_DETERMINISM_CHOICES, r->determinism),
                    [CLIP_KERNELS] = place_of(CLIP_KERNELS_CHOICES, r->kernels) }
    };
}

status job_numerics_check(const struct job *job, const struct clip_numerics *given)
{
    char asked[CLIP_WORD], word[CLIP_WORD];

    for (int k = 0; k < CLIP_NUMERICS; k++) {
        const char *const name = clip_numeric_name((enum clip_numeric_key)k);
        if (clip_numeric_word(asked, &job->numerics, (enum clip_numeric_key)k) &&
            clip_numeric_word(word, given, (enum clip_numeric_key)k) && strcmp(asked, word) != 0)
            return tree_fail(tree_find(job->numerics_node, name),
                             "found %s, and --%s %s was given; allowed: one of the two, or both "
                             "alike",
                             asked, name, word);
    }
    return ST_OK;
}
