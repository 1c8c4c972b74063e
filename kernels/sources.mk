# Tensors, the table of operations, its dry run.
SRC += $(addprefix kernels/, \
    tensor.c pixels.c kern.c kern_check.c kern_compose.c kern_plan_key.c kern_dry_run.c \
    kern_host_memory.c)
ifeq ($(MEDIA),1)
SRC += kernels/kern_registry.c
else
SRC += kernels/kern_registry_stub.c
endif
SRC += kernels/$(if $(filter 0,$(CUDA)),kern_device_stub.c,kern_device.c)
