# Clean keys and values, and who attends to whom.
SRC += $(addprefix pipeline/cache/, \
    kv_policy.c policy_rolling.c policy_block.c policy_deep_sink.c policy_deep_forcing.c policy_ema_sink.c policy_infinity_rope.c policy_lol.c policy_memrope.c policy_rolling_sink.c policy_frames.c policy_rank.c policy_rows.c policy_relax_forcing.c policy_echo_forcing.c policy_forcing_kv.c policy_average.c \
    kv_state.c kv_cache.c)
