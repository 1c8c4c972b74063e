# cuBLASLt and cuDNN: descriptors, graphs, plans that thread ranks share.
SRC += kernels/cuda/library/cuda_dnn_graph.c
ifneq ($(CUDA),0)
SRC += $(addprefix kernels/cuda/library/, \
    cuda_lt.c $(if $(filter 1,$(CUDA)),cuda_lt_library.c) cuda_dnn_desc.c cuda_dnn_share.c cuda_dnn_plan.c)
endif
