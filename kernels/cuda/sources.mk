# CUDA. PLANS is arithmetic of launches and graphs, in every build; the rest runs on a card.
SRC += $(addprefix kernels/cuda/, \
    cuda_launch_plan.c cuda_fused_plan.c cuda_channel_norm_plan.c cuda_conv_few_plan.c \
    cuda_fp8_plan.c)
ifeq ($(CUDA),0)
SRC += kernels/cuda/cuda_stub.c
else
SRC += $(addprefix kernels/cuda/, \
    cuda_versions.c cuda_backend.c cuda_dev.c cuda_fetch.c)
endif
