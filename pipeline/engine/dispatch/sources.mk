# Rank 0's side of a group: the clips that wait, what they need first, which line they go to.
ifeq ($(MEDIA),1)
SRC += $(addprefix pipeline/engine/dispatch/, \
    dispatcher.c dispatch_list.c background.c clip_starts.c clip_start.c \
    given_latents.c prompt_bank.c prompt_encoder.c)
endif
