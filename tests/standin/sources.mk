# A stand-in for a card, its libraries and NCCL.
STANDIN += $(addprefix tests/standin/, \
    standin_runtime.c standin_stream.c standin_memory.c standin_block.cc standin_lt.c standin_dnn.c \
    standin_dnn_sdpa.c standin_dnn_conv.c standin_dnn_chain.c)
ifeq ($(NCCL),standin)
STANDIN += $(addprefix tests/standin/, \
    standin_nccl.c standin_wire.c)
endif
ifeq ($(CUDA),standin)
SRC += $(STANDIN)
endif

$O/tests/standin/%.o: CXXFLAGS += -std=c++20 -ftls-model=local-exec $(CUDA_CFLAGS)

# Products of the model's sizes, many times over.
$O/tests/standin/standin_lt.o: CFLAGS += -O3 -fno-sanitize=all

# The program's .cu files through the host's compiler (kernels/cuda/nvcc.mk).
STANDIN_FLAGS = -x c++ -std=c++20 -fno-extern-tls-init -ftls-model=local-exec -Wall -Wextra -Wno-unknown-pragmas \
                $(if $(CI),-Werror) $(OPT) -O2 -ffp-contract=off -I. $(CUDA_CFLAGS) -include tests/standin/standin_device.cuh -MMD -MP
