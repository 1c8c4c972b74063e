# render: jobs in, finished clips out.
ifeq ($(MEDIA),1)
CMD_SRC += $(addprefix cmd/render/, \
    cmd_render.c cmd_extend.c prompt_job.c render_run.c clip_choice.c work_list.c work_list_source.c render_summary.c render_report_json.c render_progress.c render_notes.c)
endif
