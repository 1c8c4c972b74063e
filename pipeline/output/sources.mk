# A clip's folder: files, record, contact sheet, quality.
ifeq ($(MEDIA),1)
SRC += $(addprefix pipeline/output/, \
    written.c quality.c drift.c contact_sheet.c sidecar.c attempt.c attempt_sweep.c finished_clip.c \
    clip_claim.c clip_contents.c clip_embeddings.c clip_writer.c clip_checkpoint.c clip_extension.c)
endif

# Loops over pixels, written to be vectorised.
$O/kernels/pixels.o $O/pipeline/output/quality.o: CFLAGS += -O3
