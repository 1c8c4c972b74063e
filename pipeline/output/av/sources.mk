# libav: encoders, files, reading back.
ifeq ($(MEDIA),1)
SRC += $(addprefix pipeline/output/av/, \
    codec.c codec_probe.c encoder.c video.c video_verify.c video_read.c)
endif
