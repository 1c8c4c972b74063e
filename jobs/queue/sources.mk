# The queue in a database: its statements are in sql/, and become queue_sql.c.
ifeq ($(MEDIA),1)
SRC += $(addprefix jobs/queue/, \
    queue.c queue_submit.c queue_lease.c queue_claim.c queue_end.c queue_control.c queue_look.c \
    store_sqlite.c $(if $(filter 1,$(POSTGRES)),store_postgres.c,store_postgres_stub.c))
OBJ += $O/jobs/queue/queue_sql.o

$O/jobs/queue/queue_sql.c: jobs/queue/embed_sql.awk jobs/queue/sql/queue.sql jobs/queue/sql/schema.sql
	$(call say,SQL,$@) mkdir -p $(@D) && awk -f $^ >$@

$O/jobs/queue/queue_sql.o: $O/jobs/queue/queue_sql.c $O/flags
	$(call say,CC,$<) $(CC) $(CFLAGS) -Wno-overlength-strings -c -o $@ $<
endif
