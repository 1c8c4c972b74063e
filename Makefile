# make               build ./rollmill               make check    install what is missing, build, run every test
# make demo          render a short clip at once    make bench    time the parts against each other
# make MODE=asan     address + undefined sanitizers make lint     format, static analysis, dependency direction
# make MODE=tsan     thread sanitizer               make fuzz     fuzz every reader, FUZZ_SECONDS each
# make MODE=debug    no optimisation                make deps     install what is missing (Debian, Ubuntu)
# make MPI=0         without MPI, though it is there (MPI=1: with it)
# make MEDIA=0 MPI=0 verify, bench and doctor alone: needs a C compiler and make, and nvcc for CUDA
# make gpu-check     on a machine with a card: right, and how fast; PART=correct, sanitize, bench: one part
# make CUDA=0        without CUDA, though it is there (CUDA=1: with it)
# make NCCL=0        without NCCL, though it is there (NCCL=1: with it)
# make MODE=standin  the CUDA parts on the host, by a stand-in for a card, with both sanitizers
# make hunt HUNT=2000  look for deadlocks and other bits with as many seeds (check: 200)
# make V=1           show the commands              make help     these lines
#
# Each MODE has its own folder under build/, so changing a flag never needs `make clean`.

comma := ,
MODE ?= release
CC   ?= gcc
CXX  ?= g++
FUZZ_SECONDS ?= 45
HUNT ?= 200
MPI  ?= $(shell pkg-config --exists ompi-c && echo 1 || echo 0)
MEDIA ?= 1
$(if $(filter-out 0 1,$(MEDIA)),$(error MEDIA is 0 or 1))
NVCC ?= $(firstword $(shell command -v nvcc) $(wildcard /usr/local/cuda/bin/nvcc) nvcc)
# The toolkit's folder. Sanitizers do not see into a card, so their builds are without.
CUDA_HOME := $(or $(CUDA_HOME),$(patsubst %/bin/nvcc,%,$(realpath $(shell command -v $(NVCC)))))
CUDA.asan := 0
CUDA.tsan := 0
CUDA ?= $(or $(CUDA.$(MODE)),$(if $(CUDA_HOME),1,0))
ifeq ($(MODE),standin)
override CUDA := standin
endif

# Folders with include/ and lib/ of cuDNN and cuBLAS, where these are not beside CUDA.
CUDNN_HOME  ?=
CUBLAS_HOME ?=

# NCCL between cards, where its header is beside CUDA's.
NCCL ?= $(if $(wildcard $(CUDA_HOME)/include/nccl.h),$(CUDA),0)

# MEDIA=0 is the bare build; it has folders of its own.
B := build/$(MODE)$(if $(filter 0,$(MEDIA)),-bare)

WARN := -Wall -Wextra -Wpedantic -Wshadow -Wstrict-prototypes -Wmissing-prototypes \
        -Wvla -Wformat=2 -Wundef -Wpointer-arith -Wwrite-strings $(if $(CI),-Werror)
OPT.release := -O2 -g
OPT.debug   := -O0 -g3
OPT.asan    := -O1 -g -fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer
OPT.tsan    := -O1 -g -fsanitize=thread
OPT.standin := $(OPT.asan)
OPT := $(or $(OPT.$(MODE)),$(error MODE is release, debug, asan, tsan or standin))

MPI_CFLAGS.1 := $(patsubst -I%,-isystem %,$(shell pkg-config --cflags ompi-c 2>/dev/null))
MPI_LDLIBS.1 := $(shell pkg-config --libs ompi-c 2>/dev/null)
# from FOLDER LIBRARY: how to link it
from = $(if $1,-L$1/lib -Wl$(comma)-rpath$(comma)$1/lib -l:$(notdir $(lastword $(wildcard $1/lib/lib$2.so*))),-l$2)
CUDA_CFLAGS.1 := $(patsubst %,-isystem %/include,$(CUDA_HOME) $(CUDNN_HOME) $(CUBLAS_HOME))
CUDA_CFLAGS.standin := $(CUDA_CFLAGS.1)
CUDA_LDLIBS.standin := -lstdc++
CUDA_LDLIBS.1 := -L$(CUDA_HOME)/lib64 -Wl,-rpath,$(CUDA_HOME)/lib64 $(call from,$(CUBLAS_HOME),cublasLt) $(call from,$(CUDNN_HOME),cudnn) -lcudart_static -ldl -lrt
NCCL_LDLIBS.1 := -lnccl
# No -ffast-math, ever: it deletes isnan() and reorders sums. No contraction either,
# so that a product and a sum round alike (vec.c apart: one copy per processor).
CFLAGS   := -std=c11 -D_POSIX_C_SOURCE=200809L $(WARN) $(OPT) -ffp-contract=off -I. $(MPI_CFLAGS.$(MPI)) \
            $(CUDA_CFLAGS.$(CUDA)) -MMD -MP
CXXFLAGS := -std=c++17 -Wall -Wextra -Wshadow $(if $(CI),-Werror) $(OPT) -I. -MMD -MP
PKGS     := libavformat libavcodec libavutil libswscale yaml-0.1 jansson libcrypto libutf8proc
MEDIA_LDLIBS.1 := $(shell pkg-config --libs $(PKGS) 2>/dev/null) -lsentencepiece -ldnnl -lgomp -lstdc++
LDLIBS   := $(MEDIA_LDLIBS.$(MEDIA)) $(MPI_LDLIBS.$(MPI)) $(CUDA_LDLIBS.$(CUDA)) $(NCCL_LDLIBS.$(NCCL)) -lm -pthread
# Machine code for two kinds of card; what is newer compiles the oldest of these texts it can.
CUDA_PTX  = $(sort 90 $(patsubst compute_%,%,$(lastword $(shell $(NVCC) --list-gpu-arch))))
CUDA_GEN  = $(foreach a,80 90a,-gencode arch=compute_$a,code=sm_$a) \
            $(foreach a,$(CUDA_PTX),-gencode arch=compute_$a,code=compute_$a)
# Without exceptions, run-time types and guarded statics the objects need no libstdc++.
NVFLAGS   = -std=c++20 -O3 -lineinfo -I. -MMD -MP $(CUDA_GEN) $(if $(CI),-Werror all-warnings) \
            -Xcompiler -Wall,-Wextra,-fno-exceptions,-fno-rtti,-fno-threadsafe-statics
# The stand-in: the same files through the host's compiler.
STANDIN_FLAGS = -x c++ -std=c++20 -fno-extern-tls-init -ftls-model=local-exec -Wall -Wextra -Wno-unknown-pragmas $(if $(CI),-Werror) $(OPT) -O2 -ffp-contract=off -I. \
                $(CUDA_CFLAGS.1) -include tests/standin/standin_device.cuh -MMD -MP
CU_COMPILE.1       = $(NVCC) $(NVFLAGS)
CU_COMPILE.standin = $(CXX) $(STANDIN_FLAGS)

# ---- what there is: one line per folder's part, in reading order -------------
# NAME.1 is of a build with MEDIA=1 alone, NAME.0 takes its place with MEDIA=0. A file that
# ends in _none stands where what it is named after is left out.
BASE     := base.c log.c clock.c condition.c queue.c trace.c track.c watch.c arena.c text.c utf8.c words.c json_tree.c crc32.c file.c pool.c version.c
BASE.1   := digest.c
KERNELS  := tensor.c pixels.c kern.c kern_check.c kern_key.c kern_dry.c kern_compose.c kern_ref.c kern_ref_heavy.c
KERNELS.1 := kern_host.c kern_cpu.c kern_cpu_rows.c kern_cpu_pictures.c kern_cpu_conv.c \
            kern_cpu_linear.c kern_cpu_linear_dnn.c kern_cpu_linear_amx.c \
            kern_cpu_attention.c kern_cpu_attention_dnn.c kern_cpu_attention_amx.c \
            dnn.c dnn_v2.c dnn_v3.c vec_best.c amx.c amx_available.c
KERNELS.0 := kern_host_none.c
# cuda/: arithmetic of launches and graphs, in every build; what runs on a card; by level
CUDA_PLAN := cuda_plan.c
CUDA_PLAN += cuda_dnn_graph.c cuda_fused_plan.c cuda_fast_attention_graph.c cuda_fast_conv_plan.c \
             cuda_channel_norm_plan.c cuda_conv_few_plan.c
CUDA_PLAN += cuda_fp8_plan.c cuda_fp8_attention_graph.c
CUDA_C   := cuda_versions.c cuda_backend.c cuda_dev.c cuda_fetch.c cuda_plain.c
CUDA_C   += cuda_lt.c cuda_dnn_desc.c cuda_dnn_share.c cuda_dnn_plan.c \
            cuda_fast_rows.c cuda_fast_linear.c cuda_fast_attention.c cuda_fast_conv.c
CUDA_C   += cuda_fp8.c cuda_fp8_attention.c
CUDA_CU  := cuda_plain_each.cu cuda_plain_pictures.cu cuda_plain_rows.cu cuda_plain_wire.cu \
            cuda_plain_linear.cu cuda_plain_attention.cu cuda_plain_conv.cu
CUDA_CU  += cuda_fused.cu cuda_channel_norm.cu cuda_conv_few.cu cuda_conv_frames.cu
CUDA_CU  += cuda_fp8_kernels.cu cuda_fp8_scales.cu
KERNELS  += $(addprefix cuda/,$(CUDA_PLAN) $(if $(filter 0,$(CUDA)),cuda_none.c,$(CUDA_C)))
KERNELS  += $(if $(filter 0,$(CUDA)),kern_device_none.c,kern_device.c)
STANDIN  := standin_runtime.c standin_stream.c standin_block.cc standin_lt.c standin_dnn.c standin_dnn_sdpa.c standin_dnn_conv.c standin_dnn_chain.c
# Compiled once per instruction set; vec_best chooses at run time.
VEC.1    := baseline avx2 avx512 avx512bf16
COMM     := comm_launched.c comm_rules.c comm_gather.c comm_silent.c comm_over.c comm_inbox.c comm_thread.c comm_thread_meet.c comm_thread_world.c comm_thread_run.c
COMM_MPI.0 := comm_mpi_none.c
COMM_MPI.1 := comm_mpi_world.c comm_mpi_open.c comm_mpi_leave.c comm_mpi_loop.c comm_mpi_packet.c \
              comm_mpi_parts.c comm_mpi_meet.c comm_mpi_tell.c
COMM     += $(or $(COMM_MPI.$(MPI)),$(error MPI is 0 or 1))
COMM     += $(if $(filter 0,$(CUDA)),comm_device_none.c,comm_device.c)
COMM_NCCL.0 := comm_nccl_none.c
COMM_NCCL.1 := comm_nccl_version.c comm_nccl_open.c comm_nccl_attach.c comm_nccl_memory.c comm_nccl_parts.c comm_nccl_thread.c comm_nccl_watch.c comm_nccl_end.c
COMM_NCCL.standin := $(COMM_NCCL.1)
COMM     += $(or $(COMM_NCCL.$(NCCL)),$(error NCCL is 0 or 1))
STANDIN  += $(if $(filter standin,$(NCCL)),standin_nccl.c standin_wire.c)
CLUSTER  := split.c
CLUSTER.1 := roles.c roles_print.c topo.c cost.c cost_links.c cost_run.c cost_share.c cost_estimate.c planner.c
JOBS.1   := tree.c field.c value.c duration.c format.c template.c axis.c axis_file.c sweep.c card.c card_files.c \
            job.c job_keys.c prompts.c clip.c json_build.c clip_id.c clip_json.c
# checkpoints
PIPELINE := names.c safetensors.c zip_dir.c torchzip.c pickle_vm.c pickle_call.c pickle.c torchfile.c weights.c bind.c tensor_file.c
PIPELINE.1 := weights_hash.c
# prompts
PIPELINE += umt5_layer.c umt5.c
PIPELINE.1 += runes.c charmap.c char_class.c badness.c lossy_utf8.c mojibake.c html_entities.c html.c \
            text_clean.c charsmap.c tokenizer_model.c tokenizer_file.c text_cache.c text_hash.c text_encoder.c
PIPELINE_CXX.1 := tokenizer.cc
# the line
PIPELINE += schedule.c noise.c rope.c keys.c timeline.c cache.c
PIPELINE += dit_shape.c dit.c dit_time.c dit_forward.c line.c line_size.c line_pass.c line_blocks.c line_attend.c line_exchange.c line_gather.c line_mode.c line_wire.c line_heads.c crew.c
# pictures
PIPELINE += vae.c vae_net.c vae_parts.c vae_layout.c vae_layer.c vae_kernels.c vae_decode.c vae_encode.c decode_link.c decode_chain.c
PIPELINE.1 += quality.c codec.c codec_probe.c encoder.c video.c video_verify.c contact.c sidecar.c attempt.c clip_sink.c
CMD      := main.c exit_code.c opts.c world.c backend.c
CMD      += cmd_verify.c verify_case.c verify_rolling.c verify_vae.c verify_text.c
CMD      += cmd_bench.c bench_program.c bench_cases.c bench_model.c bench_model_tick.c bench_model_vae.c bench_model_text.c bench_silent.c
CMD      += cmd_doctor.c doctor_machine.c doctor_card.c doctor_disk.c
CMD.0    := cmd_table_none.c verify_tokenizer_none.c bench_for_none.c doctor_media_none.c
CMD.1    := cmd_table.c verify_tokenizer.c doctor_media.c cmd_inspect.c cmd_check.c
CMD.1    += cmd_render.c render_alike.c render_list.c render_prompts.c render_prompts_share.c render_batch.c render_cast.c render_groups.c render_line.c render_beside.c render_decode.c render_film.c render_about.c render_report.c report_file.c render_progress.c render_store.c render_pulse.c
CMD.1    += cmd_plan.c plan_bytes.c plan_print.c plan_links.c plan_json.c plan_try.c plan_choose.c card_line.c job_formats.c job_encoders.c job_model.c cost_facts.c bench_file.c
CMD.1    += bench_for.c bench_job.c bench_passes.c bench_pictures.c bench_rest.c
$(foreach part,BASE KERNELS VEC CLUSTER JOBS PIPELINE PIPELINE_CXX CMD,$(eval $(part) += $$($(part).$(MEDIA))))
TOOLS    := make_model.c make_case.c
TOOLKIT  := zip_writer.c torch_writer.c random_model.c spiece.c

UNIT     := unit_base.c unit_json_tree.c unit_track.c unit_cpu.c unit_cuda_plan.c unit_cuda_fused.c \
            unit_cuda_conv.c unit_pixels.c unit_roles.c unit_topo.c unit_cost.c
UNIT     += unit_yaml.c unit_card.c unit_sweep.c unit_job.c unit_docs.c unit_format.c
UNIT     += unit_weights.c unit_pickle.c unit_bind.c unit_random_model.c \
            unit_text_clean.c unit_tokenizer.c unit_umt5.c unit_schedule.c unit_keys.c \
            unit_vae.c unit_vae_parts.c unit_vae_kernels.c unit_vae_refuse.c \
            unit_video.c unit_contact.c unit_clip_sink.c unit_clip_folder.c
CUDA_UNIT := unit_cuda.c # needs a card or the stand-in
CHECK    := check_kernels.c check.c check_rows.c check_wire.c check_heavy.c check_attention.c check_fused.c check_pictures.c coarse.c coarse_attention.c check_closed.c mutants.c # one program
ALLOC    := alloc_nth.c # with a malloc that fails
LINE     := line_comm.c line_clip.c line_batch.c line_decode.c
NCCL_LINE := line_nccl.c line_nccl_room.c # on the stand-in
MPI_TEST := mpi_comm.c mpi_clip.c mpi_decode.c # under mpirun, with as many RANKS as their heads say
CLI      := cli_verify.sh cli_inspect.sh cli_check.sh cli_plan.sh cli_doctor.sh cli_render.sh cli_memory.sh cli_world.sh cli_faults.sh cli_threads.sh
FUZZ     := fuzz_safetensors.c fuzz_torch.c fuzz_tokenizer.c fuzz_job.c

SRC := $(BASE:%=base/%) $(KERNELS:%=kernels/%) $(COMM:%=comm/%) $(CLUSTER:%=cluster/%) \
       $(JOBS:%=jobs/%) $(PIPELINE:%=pipeline/%)
OBJ := $(SRC:%.c=$B/%.o) $(VEC:%=$B/kernels/vec.%.o) $(PIPELINE_CXX:%.cc=$B/pipeline/%.o)
CU_OBJ := $(if $(filter 0,$(CUDA)),,$(CUDA_CU:%.cu=$B/kernels/cuda/%.cu.o))
OBJ += $(CU_OBJ) $(if $(filter standin,$(CUDA)),$(patsubst %.c,$B/tests/standin/%.o,$(STANDIN:.cc=.c)))
LIB := $B/librollmill.a

TESTS := $(UNIT:%.c=$B/tests/%) $(if $(CHECK),$B/tests/check_kernels) \
         $(ALLOC:%.c=$B/tests/%) $(LINE:%.c=$B/tests/%)
PLANS := gpu_plans gpu_plans_conv
TESTS += $(if $(filter 1,$(CUDA)),$(PLANS:%=$B/tests/%))
MPI_PROGS := $(MPI_TEST:%.c=$B/tests/%)
PROGS := $(TOOLS:%.c=$B/%)
KIT   := $B/libtoolkit.a

# ---- how it is made ----------------------------------------------------------
all: $B/rollmill $(PROGS)
ifeq ($(MODE),release)
all: rollmill
rollmill: $B/rollmill
	@ln -sf $< $@
endif

# From the objects, not the archive: two functions of one name are an error here.
$B/rollmill: $(CMD:%.c=$B/cmd/%.o) $(OBJ)
	$(call say,LINK,$@) $(CC) $(OPT) -o $@ $^ $(LDLIBS)

$(LIB): $(OBJ)
	$(call say,AR,$@) rm -f $@ && ar rcs $@ $^

$B/%.o: %.c $B/flags
	@mkdir -p $(@D)
	$(call say,CC,$<) $(CC) $(CFLAGS) -c -o $@ $<

$B/%.o: %.cc $B/flags
	@mkdir -p $(@D)
	$(call say,CXX,$<) $(CXX) $(CXXFLAGS) -c -o $@ $<

$B/%.cu.o: %.cu $B/flags
	@mkdir -p $(@D)
	$(call say,CU,$<) $(CU_COMPILE.$(CUDA)) -c -o $@ $<

$B/tests/standin/%.o: CXXFLAGS += -std=c++20 -ftls-model=local-exec $(CUDA_CFLAGS.1)

# Products of the model's sizes, many times over.
$B/tests/standin/standin_lt.o: CFLAGS += -O3 -fno-sanitize=all

# The oracle is a triple loop; it may be unrolled, it may not be reordered.
$B/kernels/kern_ref%.o: CFLAGS += -O3

$B/kernels/amx.o: CFLAGS += -O3 -mamx-tile -mamx-bf16 -mavx512f -mavx512bw -mavx512vl \
    -mavx512dq -mavx512bf16

VECFLAGS.avx2   := -mavx2 -mfma
VECFLAGS.avx512 := -mavx512f -mavx512bw -mavx512vl -mavx512dq -mfma
VECFLAGS.avx512bf16 := $(VECFLAGS.avx512) -mavx512bf16
$(VEC:%=$B/kernels/vec.%.o): $B/kernels/vec.%.o: kernels/vec.c $B/flags
	@mkdir -p $(@D)
	$(call say,CC,$@) $(CC) $(CFLAGS) -O3 -ffp-contract=fast -Wno-psabi $(VECFLAGS.$*) \
	    -DVEC_TABLE=vec_$* -DVEC_NAME='"$*"' -c -o $@ $<

# Loops over pixels, written to be vectorised.
$B/kernels/pixels.o $B/pipeline/quality.o: CFLAGS += -O3

$(KIT): $(TOOLKIT:%.c=$B/tools/%.o)
	$(call say,AR,$@) rm -f $@ && ar rcs $@ $^

$(PROGS): $B/%: $B/tools/%.o $(KIT) $(LIB)
	$(call say,LINK,$@) $(CC) $(OPT) -o $@ $^ $(LDLIBS)

# Touched only when the flags differ from those of the last build here.
FLAGS := $(CC) $(CFLAGS) $(CXX) $(CXXFLAGS) $(CU_COMPILE.$(CUDA))
$B/flags: force
	@mkdir -p $(@D)
	@echo '$(FLAGS)' | cmp -s - $@ || echo '$(FLAGS)' > $@

# The commit goes into one object, rebuilt when it moves.
COMMIT := $(shell git describe --always --dirty --abbrev=12 2>/dev/null || echo unknown)
$B/commit: force
	@mkdir -p $(@D)
	@echo '$(COMMIT)' | cmp -s - $@ || echo '$(COMMIT)' > $@
$B/base/version.o: $B/commit
build/%/base/version.o: CFLAGS += -DVERSION_COMMIT='"$(COMMIT)"' -DVERSION_FLAGS='"$(OPT)"'

say = $(if $(V),,@printf '  %-5s %s\n' $(1) $(2);)

# ---- tests -------------------------------------------------------------------
$(UNIT:%.c=$B/tests/%) $(CUDA_UNIT:%.c=$B/tests/%): $B/tests/%: $B/tests/unit/%.o $(KIT) $(LIB)
	$(call say,LINK,$@) mkdir -p $(@D) && $(CC) $(OPT) -o $@ $(filter %.o,$^) $(KIT) $(LIB) $(LDLIBS) -lcmocka $(TEST_LDLIBS)
$B/tests/unit_weights: TEST_LDLIBS = -lzip
$(addprefix $B/tests/unit_,video clip_sink clip_folder contact): $B/tests/unit/clips.o $B/tests/unit/as_bytes.o
$B/tests/unit_clip_sink $B/tests/unit_clip_folder: $B/tests/unit/sink_show.o
$B/tests/unit_vae: $B/tests/unit/as_bytes.o
$B/tests/unit_vae $B/tests/unit_vae_parts $B/tests/unit_vae_kernels: $B/tests/unit/vae_clip.o
$B/tests/unit_cuda_conv: $B/tests/standin/standin_dnn_conv.o $B/tests/standin/standin_dnn_chain.o
$B/tests/check_kernels: $(CHECK:%.c=$B/tests/check/%.o) $(LIB)
	$(call say,LINK,$@) mkdir -p $(@D) && $(CC) $(OPT) -o $@ $^ $(LDLIBS)
$(PLANS:%=$B/tests/%): $B/tests/%: $B/tests/gpu/%.o $(LIB)
	$(call say,LINK,$@) mkdir -p $(@D) && $(CC) $(OPT) -o $@ $^ $(LDLIBS)
WRAP := $(addprefix -Wl$(comma)--wrap=,malloc calloc realloc strdup strndup)
$(ALLOC:%.c=$B/tests/%): $B/tests/%: $B/tests/alloc/%.o $(LIB)
	$(call say,LINK,$@) mkdir -p $(@D) && $(CC) $(OPT) $(WRAP) -o $@ $^ $(LDLIBS) -lcmocka
$(LINE:%.c=$B/tests/%) $(NCCL_LINE:%.c=$B/tests/%): $B/tests/%: $B/tests/line/%.o $(LIB)
	$(call say,LINK,$@) mkdir -p $(@D) && $(CC) $(OPT) -o $@ $(filter %.o,$^) $(LIB) $(LDLIBS) -lcmocka
COMM_CHECKS := comm_check_exchange.c comm_check_gather.c comm_check_meet.c comm_check_tell.c comm_check_end.c comm_delay.c
$B/tests/line_comm $B/tests/mpi_comm: $(COMM_CHECKS:%.c=$B/tests/line/%.o)
# On stand-ins of CUDA and NCCL.
NCCL_RIG := comm_card.c nccl_rig.c
$(NCCL_LINE:%.c=$B/tests/%) $B/tests/mpi_nccl: $(NCCL_RIG:%.c=$B/tests/line/%.o)
$(NCCL_LINE:%.c=$B/tests/%) $B/tests/mpi_nccl: $(COMM_CHECKS:%.c=$B/tests/line/%.o)
$(NCCL_LINE:%.c=$B/tests/%): $B/tests/line/nccl_seat.o
CLIP_SHOW := watched.c comm_delay.c clip_show.c clip_trial.c
$B/tests/line_clip $B/tests/line_batch $B/tests/mpi_clip $B/tests/line_nccl $B/tests/mpi_nccl: $(CLIP_SHOW:%.c=$B/tests/line/%.o)
CHAIN_SHOW := line/watched.c line/comm_delay.c line/chain_show.c unit/vae_clip.c unit/as_bytes.c
$B/tests/line_decode $B/tests/mpi_decode: $(CHAIN_SHOW:%.c=$B/tests/%.o)

$(MPI_PROGS) $B/tests/mpi_nccl: $B/tests/%: $B/tests/mpi/%.o $B/tests/mpi/mpi_rig.o $(LIB)
	$(call say,LINK,$@) mkdir -p $(@D) && $(CC) $(OPT) -o $@ $(filter %.o,$^) $(LIB) $(LDLIBS) -lcmocka

# The stand-in itself, by planted faults.
build/standin/tests/standin_faults: build/standin/tests/standin/standin_faults.cu.o build/standin/librollmill.a
	$(call say,LINK,$@) mkdir -p $(@D) && $(CC) $(OPT) -o $@ $^ $(LDLIBS)

build/standin/tests/standin_ready: build/standin/tests/standin/standin_ready.o build/standin/tests/unit/vae_clip.o build/standin/librollmill.a
	$(call say,LINK,$@) mkdir -p $(@D) && $(CC) $(OPT) -o $@ $^ $(LDLIBS) -lcmocka

tests: all $(TESTS) $(MPI_PROGS) $(if $(filter 0,$(CUDA)),,$(CUDA_UNIT:%.c=$B/tests/%))

# ---- fuzzing: the library once more, by clang, with coverage and sanitizers -----
F         := build/fuzz
CLANG     ?= clang
FUZZ_OPT  := -O1 -g -fsanitize=address,undefined -fno-sanitize-recover=all
$F/base/version.o: FUZZ_OPT += -DVERSION_COMMIT='"$(COMMIT)"' -DVERSION_FLAGS='"fuzz"'
FUZZ_SRC  := $(filter-out kernels/% comm/comm_mpi% comm/comm_nccl% comm/comm_device%,$(SRC)) kernels/tensor.c kernels/pixels.c \
             comm/comm_mpi_none.c comm/comm_nccl_none.c comm/comm_device_none.c
FUZZ_OBJ  := $(FUZZ_SRC:%.c=$F/%.o) $(PIPELINE_CXX:%.cc=$F/pipeline/%.o) $(TOOLKIT:%.c=$F/tools/%.o)

$F/%.o: %.c
	@mkdir -p $(@D)
	$(call say,FUZZ,$<) $(CLANG) -std=c11 -D_POSIX_C_SOURCE=200809L $(FUZZ_OPT) -fsanitize=fuzzer-no-link \
	    -ffp-contract=off -I. -MMD -MP -c -o $@ $<

$F/%.o: %.cc
	@mkdir -p $(@D)
	$(call say,FUZZ,$<) $(CLANG)++ -std=c++17 $(FUZZ_OPT) -fsanitize=fuzzer-no-link -I. -MMD -MP -c -o $@ $<

$F/librollmill.a: $(FUZZ_OBJ)
	$(call say,AR,$@) rm -f $@ && ar rcs $@ $^

$(FUZZ:%.c=$F/%): $F/%: $F/tests/fuzz/%.o $F/tests/fuzz/fuzz.o $F/librollmill.a
	$(call say,LINK,$@) $(CLANG)++ $(FUZZ_OPT) -fsanitize=fuzzer -o $@ $^ $(LDLIBS)

FUZZ_RUNS := $(FUZZ:%.c="tests/fuzz/run $F/%")
fuzz: $(FUZZ:%.c=$F/%)
	@$(call tests_run,$$(($(FUZZ_SECONDS) + 70))) $(FUZZ_RUNS)

# What the bare build is made of, for tests/check_bare.sh.
print-bare:
	@echo $(SRC) $(CMD:%=cmd/%) $(TOOLS:%=tools/%) $(TOOLKIT:%=tools/%)

# ---- all of it -----------------------------------------------------------------
# Packages are looked for while make reads this file, so what needs them runs in a
# make of its own, after they are there.
deps:
	@tools/deps.sh

# As many at a time as there are processors, where nobody said how many; the makes that
# these start share them.
check demo bench: deps
	@$(MAKE) $(if $(filter -j%,$(MAKEFLAGS)),,-j$(shell nproc)) --no-print-directory $@-now

# A list of tests is a file of command lines, tests/lists/NAME, or what these make: one line
# for each program, and for each number of RANKS in the head of a test over MPI.
programs = $(foreach test,$2,"$1/tests/$(test:%.c=%)")
ranks    = $(shell sed -n 's/^.*RANKS \([0-9 ]*[0-9]\).*$$/\1/p' tests/mpi/$1)
mpiruns  = $(foreach test,$2,$(foreach n,$(call ranks,$(test)),"ASAN_OPTIONS=detect_leaks=0 tests/mpirun.sh $n $1/tests/$(test:%.c=%)"))
list     = $(1:%=@tests/lists/%)

# Under a sanitizer what is slow without one is left out.
ASAN := $(filter-out unit_random_model.c unit_vae_parts.c,$(UNIT)) $(ALLOC) line_comm.c
TSAN := unit_base.c unit_cpu.c unit_track.c line_comm.c
TSAN_MORE := rollmill tests/line_clip tests/line_decode tests/mpi_comm tests/mpi_clip tests/mpi_decode

# The CUDA parts on a stand-in, where there is a toolkit; comm_nccl where NCCL's header is, too.
WITH_STANDIN  := $(if $(CUDA_HOME),1)
WITH_NCCL     := $(if $(filter-out 0,$(NCCL)),1)
STANDIN_BUILT := rollmill tests/check_kernels tests/unit_cuda tests/standin_faults tests/standin_ready
NCCL_MPI      := $(if $(filter 1,$(MPI)),mpi_nccl.c)
NCCL_BUILT    := $(if $(WITH_NCCL),$(NCCL_LINE:%.c=tests/%) $(NCCL_MPI:%.c=tests/%))
BARE_BUILT    := rollmill make_model make_case tests/check_kernels # what tools/gpu_check.sh needs
STANDIN_LIST  := $(if $(WITH_STANDIN),$(call list,standin),"echo the CUDA toolkit is not installed: no stand-in; exit 77")
NCCL_LIST     := $(if $(WITH_NCCL),$(call list,nccl hunt-nccl) $(call mpiruns,build/standin,$(NCCL_MPI)),"echo nccl.h is not beside CUDA: comm_nccl is not built; exit 77")

# What begins early ends early: the longest first.
CHECKS := $(call list,lint) tests/check_bare.sh $(CLI:%=tests/cli/%) $(STANDIN_LIST) \
    $(filter-out $(PLANS:%=$B/tests/%),$(TESTS)) \
    $(call mpiruns,$B,$(MPI_TEST)) tests/mpi/mpi_ends.sh $(call list,hunt) $(NCCL_LIST) $(call list,gpu) \
    $(call programs,build/asan,$(ASAN)) $(call programs,build/tsan,$(TSAN)) $(call list,sanitized) $(FUZZ_RUNS)

# What the lines of a list refer to. Seeds are shared among the hunts.
tests_run = B=$B SEEDS=$$(($(HUNT) / 5)) CUDA_HOME=$(CUDA_HOME) FUZZ_SECONDS=$(FUZZ_SECONDS) \
    TSAN_OPTIONS=ignore_noninstrumented_modules=1 LIMIT=$1 tests/run
MAKE_HERE = $(MAKE) --no-print-directory

hunt: tests
	@$(if $(WITH_NCCL),$(MAKE_HERE) MODE=standin NCCL=standin $(NCCL_BUILT:%=build/standin/%))
	@$(call tests_run,36000) $(call list,hunt $(if $(WITH_NCCL),hunt-nccl))

lint:
	@$(call tests_run,600) $(call list,lint)

check-now: tests
	@$(MAKE_HERE) MODE=asan tests
	@$(MAKE_HERE) MODE=tsan $(TSAN:%.c=build/tsan/tests/%) $(TSAN_MORE:%=build/tsan/%)
	@$(if $(WITH_STANDIN),$(MAKE_HERE) MODE=standin $(if $(WITH_NCCL),NCCL=standin) $(STANDIN_BUILT:%=build/standin/%) $(NCCL_BUILT:%=build/standin/%))
	@$(if $(WITH_STANDIN),$(MAKE_HERE) MODE=standin MEDIA=0 MPI=0 $(BARE_BUILT:%=build/standin-bare/%))
	@$(MAKE_HERE) $(FUZZ:%.c=$F/%)
	@$(call tests_run,900) $(CHECKS)

demo-now: all
	@tools/demo.sh

# Beside PyTorch, if BENCH_PYTHON names a Python that has it.
BENCH_PYTHON ?=
BENCH_DIR    := build/bench
$(BENCH_DIR)/%/Wan2.1_VAE.pth: build/release/make_model
	@mkdir -p $(BENCH_DIR)
	@$< $(@D) --size bench-$* --dtype bf16 >/dev/null

bench-now: all $(BENCH_DIR)/small/Wan2.1_VAE.pth $(BENCH_DIR)/middle/Wan2.1_VAE.pth
	@for size in small middle; do for precision in bf16 f32; do \
	    if [ -n "$(BENCH_PYTHON)" ]; then \
	        $(BENCH_PYTHON) tools/bench_torch.py $B/rollmill --size $$size --precision $$precision \
	            --model $(BENCH_DIR)/$$size; \
	    else $B/rollmill bench --size $$size --precision $$precision --model $(BENCH_DIR)/$$size; fi || exit 1; \
	done; done
	@[ -n "$(BENCH_PYTHON)" ] || echo "PyTorch: not measured; BENCH_PYTHON=/path/to/python sets it beside these"
	@ROLLMILL=$B/rollmill tools/bench_ranks.sh

# On a machine with a card; see tools/gpu_check.sh. PART=correct, sanitize or bench is one
# part, each of less than ten minutes.
PART ?= all
gpu-check:
	@tools/gpu_check.sh $(PART)

help:
	@sed -n 's/^# //p;/^$$/q' Makefile

clean:
	rm -rf build rollmill

.PHONY: all print-bare tests fuzz deps lint hunt check check-now demo demo-now bench bench-now gpu-check help clean force
.SECONDARY:
-include $(shell find $B $F -name '*.d' 2>/dev/null)
