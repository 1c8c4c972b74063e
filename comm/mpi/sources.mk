# Ranks that are processes, over MPI.
ifeq ($(MPI),0)
SRC += comm/mpi/comm_mpi_stub.c
else
SRC += $(addprefix comm/mpi/, \
    comm_mpi_init.c comm_mpi_finalize.c comm_mpi_progress.c comm_mpi_packet.c comm_mpi_group.c \
    comm_mpi_transfer.c comm_mpi_collective.c comm_mpi_control.c)
endif
