# plan: who does what, how many bytes, how fast.
ifeq ($(MEDIA),1)
CMD_SRC += $(addprefix cmd/plan/, \
    cmd_plan.c plan_print.c plan_links.c plan_json.c plan_try.c)
endif
