# Machines, what each rank of a world does, what it costs, what to choose.
SRC += cluster/split.c
ifeq ($(MEDIA),1)
SRC += $(addprefix cluster/, \
    roles.c roles_print.c topo.c cost_tasks.c cost.c cost_run.c cost_estimate.c \
    planner.c)
endif
