# verify: golden cases, finished clips.
CMD_SRC += $(addprefix cmd/verify/, \
    cmd_verify.c verify_case.c verify_rules.c verify_rolling.c verify_slots.c verify_lora.c verify_ema.c verify_vae.c verify_text.c)
CMD_SRC += cmd/verify/$(if $(filter 1,$(MEDIA)),verify_tokenizer.c,verify_tokenizer_stub.c)
CMD_SRC += cmd/verify/$(if $(filter 1,$(MEDIA)),verify_clip.c,verify_clip_stub.c)
