# Blocks to pictures, by one rank or a chain of them.
SRC += $(addprefix pipeline/decode/, \
    decode_link.c decode_chain.c)
