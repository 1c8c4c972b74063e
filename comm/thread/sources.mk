# Ranks that are threads of one process.
SRC += $(addprefix comm/thread/, \
    comm_thread.c comm_thread_group.c comm_thread_transfer.c comm_thread_collective.c \
    comm_thread_run.c)
