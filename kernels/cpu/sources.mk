# The processor: oneDNN, AMX, and loops compiled once per instruction set.
ifeq ($(MEDIA),1)
SRC += $(addprefix kernels/cpu/, \
    kern_cpu.c kern_cpu_util.c kern_cpu_rows.c kern_cpu_pictures.c kern_cpu_conv.c \
    kern_cpu_linear.c kern_cpu_linear_tile.c kern_cpu_linear_dnn.c kern_cpu_linear_amx.c \
    kern_cpu_attention.c kern_cpu_attention_tile.c kern_cpu_attention_dnn.c \
    kern_cpu_attention_amx.c cpu_features.c dnn.c dnn_v2.c dnn_v3.c amx.c)
# Compiled once per instruction set; vec_best chooses at run time.
VEC := baseline avx2 avx512 avx512bf16
endif

OBJ += $(VEC:%=$O/kernels/cpu/vec.%.o)
$O/kernels/cpu/amx.o: CFLAGS += -O3 -mamx-tile -mamx-bf16 -mavx512f -mavx512bw -mavx512vl \
    -mavx512dq -mavx512bf16

VECFLAGS.avx2   := -mavx2 -mfma
VECFLAGS.avx512 := -mavx512f -mavx512bw -mavx512vl -mavx512dq -mfma
VECFLAGS.avx512bf16 := $(VECFLAGS.avx512) -mavx512bf16
$(VEC:%=$O/kernels/cpu/vec.%.o): $O/kernels/cpu/vec.%.o: kernels/cpu/vec.c $O/flags
	@mkdir -p $(@D)
	$(call say,CC,$@) $(CC) $(CFLAGS) -O3 -ffp-contract=fast -Wno-psabi $(VECFLAGS.$*) \
	    -DVEC_TABLE=vec_$* -DVEC_NAME='"$*"' -c -o $@ $<
