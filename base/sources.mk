# The floor: every folder may use it.
SRC += $(addprefix base/, \
    base.c array.c log.c clock.c thread.c slot_queue.c trace.c track.c watchdog.c arena.c \
    strbuf.c byte_reader.c error_list.c utf8.c choice.c kv_policies.c json_tree.c crc32.c file_guard.c file_watch.c file_pledge.c fd.c file.c file_kind.c file_set.c process_mark.c pool.c version.c)
ifeq ($(MEDIA),1)
SRC += $(addprefix base/, \
    digest.c clip_media.c file_hash.c file_sample.c file_record.c journal.c json_build.c)
endif
