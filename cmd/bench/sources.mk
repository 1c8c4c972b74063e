# bench: the parts of a render, timed.
CMD_SRC += $(addprefix cmd/bench/, \
    cmd_bench.c bench_recorder.c bench_cases.c bench_model.c bench_model_tick.c \
    bench_model_vae.c bench_model_text.c bench_common.c)
ifeq ($(MEDIA),1)
CMD_SRC += $(addprefix cmd/bench/, \
    bench_file.c bench_for_job.c bench_job.c bench_passes.c bench_pictures.c bench_link.c)
else
CMD_SRC += cmd/bench/bench_for_job_stub.c
endif
