# The transformer, its schedule, noise and angles.
SRC += $(addprefix pipeline/dit/, \
    schedule.c noise.c rope.c dit_shape.c dit.c dit_time.c dit_forward.c)
