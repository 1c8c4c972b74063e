# Prompts: tokenizer, text encoder, the cache of what it made.
SRC += $(addprefix pipeline/text/, \
    umt5_layer.c umt5.c)
ifeq ($(MEDIA),1)
SRC += $(addprefix pipeline/text/, \
    charsmap.c tokenizer_model.c tokenizer_file.c text_cache_trim.c text_cache.c text_hash.c text_encoder.c)
SRC += pipeline/text/tokenizer.cc
endif
