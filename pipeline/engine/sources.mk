# The renderer: clips of a work source in, finished clips out, on all ranks of a world.
ifeq ($(MEDIA),1)
SRC += $(addprefix pipeline/engine/, \
    work_source.c engine.c engine_group.c engine_roles.c group_verdict.c engine_comms.c numerics.c \
    prompt_mix.c clip_feed.c clip_board.c \
    rank_stats.c line_worker.c line_clips.c decode_local.c decode_worker.c encode_worker.c encode_clips.c \
    clip_provenance.c clip_resume.c \
    model_files.c model_pool.c output_formats.c workload.c model_check.c footprint.c workload_query.c)
endif
