# queue, submit, work: jobs into a database, worlds that render what is there, a person's orders.
ifeq ($(MEDIA),1)
CMD_SRC += $(addprefix cmd/queue/, \
    queue_url.c queue_job.c cmd_submit.c held_clip.c queue_link_world.c queue_source.c queue_link.c \
    cmd_work.c queue_select.c queue_json.c queue_show.c queue_clean.c cmd_queue.c)
endif
