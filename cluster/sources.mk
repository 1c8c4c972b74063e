# Machines, what each rank of a world does, what it costs, what to choose.
SRC += cluster/split.c
ifeq ($(MEDIA),1)
SRC += $(addprefix cluster/, \
    roles.c roles_print.c topo.c cost.c cost_links.c cost_run.c cost_share.c cost_estimate.c \
    planner.c)
endif
