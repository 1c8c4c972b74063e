# Checkpoints: readers, names, binding.
SRC += $(addprefix pipeline/weights/, \
    tensor_name.c weight_info.c weight_format.c flat_file.c safetensors.c gguf.c zip_dir.c torchzip.c pickle_vm.c pickle_call.c pickle.c \
    torchfile.c weight_adapter.c weights.c weight_bind.c tensor_file.c)
ifeq ($(MEDIA),1)
SRC += pipeline/weights/weights_hash.c
endif
