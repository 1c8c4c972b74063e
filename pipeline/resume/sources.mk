# What an attempt at a clip leaves for the next one.
ifeq ($(MEDIA),1)
SRC += pipeline/resume/snapshot.c pipeline/resume/snapshot_lock.c
endif
