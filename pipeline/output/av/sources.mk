# libav: encoders, files, reading back, decoding.
ifeq ($(MEDIA),1)
SRC += $(addprefix pipeline/output/av/, \
    codec.c codec_probe.c encoder.c av_file.c packet_sum.c video.c video_mux.c video_verify.c av_decoder.c video_pictures.c \
    video_read.c)
endif
