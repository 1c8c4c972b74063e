# Level 2: libraries' products and attention, own fused kernels between them.
SRC += $(addprefix kernels/cuda/fused/,cuda_fast_attention_graph.c cuda_fast_conv_plan.c)
ifneq ($(CUDA),0)
SRC += $(addprefix kernels/cuda/fused/, \
    cuda_fast_rows.c cuda_fast_linear.c cuda_fast_attention.c cuda_fast_conv.c)
CU_SRC += $(addprefix kernels/cuda/fused/, \
    cuda_fused.cu cuda_channel_norm.cu cuda_conv_few.cu cuda_conv_frames.cu)
endif
