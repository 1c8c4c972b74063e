# The floor: every folder may use it.
SRC += $(addprefix base/, \
    base.c array.c log.c clock.c thread.c slot_queue.c trace.c track.c watchdog.c arena.c \
    strbuf.c byte_reader.c error_list.c utf8.c choice.c kv_policies.c json_tree.c crc32.c file_guard.c file_watch.c file.c file_kind.c file_set.c process_mark.c pool.c version.c)
ifeq ($(MEDIA),1)
SRC += base/digest.c base/file_sample.c base/file_record.c base/journal.c
endif
