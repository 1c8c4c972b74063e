# Level 2: libraries' products and attention, own fused kernels between them.
SRC += $(addprefix kernels/cuda/fused/,cuda_fused_attention_graph.c cuda_fused_conv_plan.c)
ifneq ($(CUDA),0)
SRC += $(addprefix kernels/cuda/fused/, \
    cuda_fused_rows.c cuda_fused_linear.c cuda_fused_attention.c cuda_fused_conv.c)
CU_SRC += $(addprefix kernels/cuda/fused/, \
    cuda_fused_kernels.cu cuda_fused_channel_norm.cu cuda_fused_conv_few.cu \
    cuda_fused_conv_frames.cu)
endif
