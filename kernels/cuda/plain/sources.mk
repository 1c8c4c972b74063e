# Level 1: own plain kernels, every operation.
ifneq ($(CUDA),0)
SRC += kernels/cuda/plain/cuda_plain.c
CU_SRC += $(addprefix kernels/cuda/plain/, \
    cuda_plain_each.cu cuda_plain_pictures.cu cuda_plain_rows.cu cuda_plain_wire.cu cuda_plain_keys.cu \
    cuda_plain_linear.cu cuda_plain_attention.cu cuda_plain_conv.cu)
endif
