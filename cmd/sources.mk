# The program: one folder a command, small ones here.
CMD_SRC += $(addprefix cmd/, \
    main.c exit_code.c opts.c backend.c)
ifeq ($(MEDIA),1)
CMD_SRC += $(addprefix cmd/, \
    cmd_table.c library_throw.cc cmd_inspect.c cmd_card.c card_like.c model_folder.c shipped.c inspect_folder.c inspect_model.c inspect_clip.c cmd_check.c cmd_sweep.c clip_folder.c job_encoders.c prompt_lengths.c job_numerics.c job_workload.c user_cache.c)
else
CMD_SRC += cmd/cmd_table_stub.c
endif
