# Levels 3 and 4: products and attention in 8 bits.
SRC += kernels/cuda/fp8/cuda_fp8_attention_graph.c
ifneq ($(CUDA),0)
SRC += $(addprefix kernels/cuda/fp8/, \
    cuda_fp8.c cuda_fp8_attention.c)
CU_SRC += $(addprefix kernels/cuda/fp8/, \
    cuda_fp8_kernels.cu cuda_fp8_scales.cu)
endif
