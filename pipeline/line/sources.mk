# The line: who stands where, on which rank, and what ranks exchange.
SRC += $(addprefix pipeline/line/, \
    timeline.c line.c line_dry_run.c line_recache.c line_forward.c line_schedule.c line_attend.c line_some_heads.c line_policy.c line_layout.c \
    line_exchange_blocks.c line_exchange_gather.c line_exchange_heads.c line_exchange_quant.c \
    line_stages.c line_exchange.c line_checkpoint.c line_view.c)
