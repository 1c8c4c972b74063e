/* config_check.h - what all ranks of a render must have in common. */
#ifndef CONFIG_CHECK_H
#define CONFIG_CHECK_H

#include "pipeline/engine/engine.h"

/* [all] ST_ARG if this rank was given other jobs or options than rank 0, is another build,
 * or computes with other kernels, so that a clip would be of two kinds of bits; ST_PEER if
 * another rank was. What may differ from rank to rank is not looked at: threads, caches. */
status engine_check_config(struct comm *world, const struct engine_options *o, char *const *path,
                           int paths) MUST_USE;

#endif /* CONFIG_CHECK_H */
