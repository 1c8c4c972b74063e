# What is done to a prompt before it is tokenized.
ifeq ($(MEDIA),1)
SRC += $(addprefix pipeline/text/clean/, \
    codepoints.c codepage.c char_class.c mojibake_score.c utf8_repair.c mojibake.c \
    html_entities.c html.c text_clean.c)
endif
