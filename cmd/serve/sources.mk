# serve: a queue as a page, only to look at.
ifeq ($(MEDIA),1)
CMD_SRC += $(addprefix cmd/serve/, \
    serve_roots.c serve_snapshot.c serve_page.c serve_style.c serve_metrics.c serve_answer.c \
    $(if $(filter 1,$(HTTP)),serve_http.c,serve_http_stub.c) cmd_serve.c)
endif
