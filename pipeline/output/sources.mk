# A clip's folder: files, record, contact sheet, quality.
ifeq ($(MEDIA),1)
SRC += $(addprefix pipeline/output/, \
    quality.c drift.c contact_sheet.c sidecar.c attempt.c clip_writer.c)
endif

# Loops over pixels, written to be vectorised.
$B/kernels/pixels.o $B/pipeline/output/quality.o: CFLAGS += -O3
