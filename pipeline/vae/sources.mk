# The video autoencoder.
SRC += $(addprefix pipeline/vae/, \
    vae.c vae_net.c vae_parts.c vae_layout.c vae_layer.c vae_dry_run.c vae_decode.c \
    vae_encode.c)
