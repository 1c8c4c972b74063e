# doctor: what this machine can do.
CMD_SRC += $(addprefix cmd/doctor/, \
    cmd_doctor.c doctor_machine.c doctor_disk.c doctor_print.c)
CMD_SRC += cmd/doctor/$(if $(filter 1,$(MEDIA)),doctor_media.c,doctor_media_stub.c)
