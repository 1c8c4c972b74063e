# Between cards, by NCCL.
ifeq ($(NCCL),0)
SRC += comm/nccl/comm_nccl_stub.c
else
SRC += $(addprefix comm/nccl/, \
    comm_nccl_init.c comm_nccl_attach.c comm_nccl_transfer.c comm_nccl_memory.c \
    comm_nccl_finalize.c comm_nccl_wait.c comm_nccl_progress.c comm_nccl_monitor.c \
    comm_nccl_version.c)
endif
