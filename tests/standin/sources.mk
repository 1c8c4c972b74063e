# A stand-in for a card, its libraries and NCCL.
STANDIN += $(addprefix tests/standin/, \
    standin_runtime.c standin_stream.c standin_block.cc standin_lt.c standin_dnn.c \
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
