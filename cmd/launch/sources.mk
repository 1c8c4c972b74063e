# launch: a script for a site's batch system.
ifeq ($(MEDIA),1)
CMD_SRC += $(addprefix cmd/launch/, launch_quote.c launch_slurm.c launch_submit.c cmd_launch.c)
endif
