# CUDA. The launches' arithmetic is in every build; the rest is on a card.
SRC += kernels/cuda/cuda_launch_plan.c
ifeq ($(CUDA),0)
SRC += kernels/cuda/cuda_stub.c
else
SRC += $(addprefix kernels/cuda/, \
    cuda_backend.c cuda_ctx.c cuda_dev.c)
endif
