# The renderer: roles, batches, workers.
ifeq ($(MEDIA),1)
CMD_SRC += $(addprefix pipeline/engine/, \
    config_check.c prompt_bank.c prompt_broadcast.c engine_batch.c engine_roles.c \
    engine_comms.c line_worker.c decode_local.c decode_worker.c encode_worker.c \
    clip_provenance.c model_pool.c output_formats.c workload.c footprint.c \
    workload_query.c work_source.c)
endif
