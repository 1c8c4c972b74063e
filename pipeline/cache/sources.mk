# Clean keys and values, and who attends to whom.
SRC += $(addprefix pipeline/cache/, \
    kv_policy.c kv_cache.c)
