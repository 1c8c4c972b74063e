# Ranks that hand tensors to one another: the contract, and what all transports share.
SRC += $(addprefix comm/, \
    comm_common.c comm_collect.c comm_gather.c comm_null.c comm_wrap.c comm_launcher.c \
    world.c)
ifeq ($(MEDIA),1)
SRC += comm/heartbeat.c
endif
SRC += comm/$(if $(filter 0,$(CUDA)),comm_device_stub.c,comm_device.c)
