# The oracle.
SRC += $(addprefix kernels/ref/, \
    kern_ref.c kern_ref_heavy.c)

# A triple loop; it may be unrolled, it may not be reordered.
$O/kernels/ref/%.o: CFLAGS += -O3
