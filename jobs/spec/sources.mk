# Jobs, model cards, sweeps, clips.
ifeq ($(MEDIA),1)
SRC += $(addprefix jobs/spec/, \
    clip_spec.c model_spec.c spec_table.c spec_json.c format.c template.c axis_values.c axis_text.c axis_file.c \
    axis.c sweep.c lora.c window.c card.c card_files.c job.c job_keys.c start.c prompt_schedule.c clip.c clip_id.c clip_json.c)
endif
