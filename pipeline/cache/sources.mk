# Clean keys and values, and who attends to whom.
SRC += $(addprefix pipeline/cache/, \
    kv_policy.c policy_rolling.c policy_block.c policy_deep_sink.c policy_rolling_sink.c policy_frames.c \
    kv_state.c kv_cache.c)
