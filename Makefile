# make               build ./rollmill               make check    install what is missing, build, run every test
# make demo          render three films by a small model make check-quick  what to run before a commit (3 minutes)
# make MODE=asan     address + undefined sanitizers make lint     format, static analysis, dependency direction
# make MODE=tsan     thread sanitizer               make fuzz     fuzz every reader, FUZZ_SECONDS each
# make MODE=debug    no optimisation                make deps     install what is missing (Debian, Ubuntu)
# make bench         time the parts against each other
# make MPI=0         without MPI, though it is there (MPI=1: with it)
# make MEDIA=0 MPI=0 verify, bench and doctor alone: needs a C compiler and make, and nvcc for CUDA
# make gpu-check     on a machine with a card: right, and how fast; PART=correct, sanitize, bench: one part
# make CUDA=0        without CUDA, though it is there (CUDA=1: with it)
# make NCCL=0        without NCCL, though it is there (NCCL=1: with it)
# make POSTGRES=0    without PostgreSQL's queue, though libpq is there (POSTGRES=1: with it)
# make HTTP=0        without the page of a queue, though libmicrohttpd is there (HTTP=1: with it)
# make MODE=standin  the CUDA parts on the host, by a stand-in for a card, with both sanitizers
# make hunt HUNT=2000  look for deadlocks and other bits with as many seeds (check: 200)
# make V=1           show the commands              make help     these lines
#
# Each MODE has its own folder under build/, so changing a flag never needs `make clean`.

# ---- switches ------------------------------------------------------------------
comma := ,
MODE ?= release
CC   ?= gcc
CXX  ?= g++
MPI  ?= $(shell pkg-config --exists ompi-c && echo 1 || echo 0)
MEDIA ?= 1
POSTGRES ?= $(shell pkg-config --exists libpq && echo 1 || echo 0)
HTTP ?= $(shell pkg-config --exists libmicrohttpd && echo 1 || echo 0)
$(foreach switch,MPI MEDIA POSTGRES HTTP,$(if $(filter-out 0 1,$($(switch))),$(error $(switch) is 0 or 1)))
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
$(foreach switch,CUDA NCCL,$(if $(filter-out 0 1 standin,$($(switch))),$(error $(switch) is 0 or 1)))

# MEDIA=0 is the bare build; its programs have a folder of their own. Objects depend on no
# switch: builds of the same OPT share them (the stand-in is built as MODE=asan is).
B := build/$(MODE)$(if $(filter 0,$(MEDIA)),-bare)
O := build/$(patsubst standin,asan,$(MODE))

# ---- flags ---------------------------------------------------------------------
WARN := -Wall -Wextra -Wpedantic -Wshadow -Wstrict-prototypes -Wmissing-prototypes \
        -Wvla -Wformat=2 -Wundef -Wpointer-arith -Wwrite-strings $(if $(CI),-Werror)
OPT.release := -O2 -g
OPT.debug   := -O0 -g3
OPT.asan    := -O1 -g -fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer
OPT.tsan    := -O1 -g -fsanitize=thread
OPT.standin := $(OPT.asan)
OPT := $(or $(OPT.$(MODE)),$(error MODE is release, debug, asan, tsan or standin))

MPI_CFLAGS := $(patsubst -I%,-isystem %,$(shell pkg-config --cflags ompi-c 2>/dev/null))
MPI_LDLIBS.1 := $(shell pkg-config --libs ompi-c 2>/dev/null)
# from FOLDER LIBRARY: how to link it
from = $(if $1,-L$1/lib -Wl$(comma)-rpath$(comma)$1/lib -l:$(notdir $(lastword $(wildcard $1/lib/lib$2.so*))),-l$2)
PQ_CFLAGS := $(patsubst -I%,-isystem %,$(shell pkg-config --cflags libpq 2>/dev/null))
CUDA_CFLAGS := $(patsubst %,-isystem %/include,$(CUDA_HOME) $(CUDNN_HOME) $(CUBLAS_HOME))
CUDA_LDLIBS.standin := -lstdc++
# (cuBLASLt is opened when a card is: kernels/cuda/library/cuda_lt_library.c.)
CUDA_LDLIBS.1 := -L$(CUDA_HOME)/lib64 $(patsubst %,-Wl$(comma)-rpath$(comma)%,$(addsuffix /lib,$(CUBLAS_HOME)) $(CUDA_HOME)/lib64) \
                 $(call from,$(CUDNN_HOME),cudnn) -lcudart_static -ldl -lrt
NCCL_LDLIBS.1 := -lnccl
# No -ffast-math, ever: it deletes isnan() and reorders sums. No contraction either,
# so that a product and a sum round alike (vec.c apart: one copy per processor).
CFLAGS   := -std=c11 -D_POSIX_C_SOURCE=200809L $(WARN) $(OPT) -ffp-contract=off -I. -MMD -MP
CXXFLAGS := -std=c++17 -Wall -Wextra -Wshadow $(if $(CI),-Werror) $(OPT) -I. -MMD -MP
PKGS     := libavformat libavcodec libavutil libswscale yaml-0.1 jansson libcrypto libutf8proc sqlite3 \
            $(if $(filter 1,$(POSTGRES)),libpq) $(if $(filter 1,$(HTTP)),libmicrohttpd)
MEDIA_LDLIBS.1 := $(shell pkg-config --libs $(PKGS) 2>/dev/null) -lsentencepiece -ldnnl -lgomp -lstdc++
LDLIBS   := $(MEDIA_LDLIBS.$(MEDIA)) $(MPI_LDLIBS.$(MPI)) $(CUDA_LDLIBS.$(CUDA)) $(NCCL_LDLIBS.$(NCCL)) -lm -pthread

# ---- what there is -------------------------------------------------------------
# A folder's sources.mk lists its files in reading order: SRC and CU_SRC are the library,
# CMD_SRC the program. A file that ends in _stub stands where what it is named after is left out.
FOLDERS := base kernels kernels/ref kernels/cpu kernels/cuda kernels/cuda/library kernels/cuda/plain \
           kernels/cuda/fused kernels/cuda/fp8 comm comm/thread comm/mpi comm/nccl cluster \
           jobs/yaml jobs/spec jobs/queue pipeline/weights pipeline/text/clean pipeline/text pipeline/dit \
           pipeline/cache pipeline/line pipeline/vae pipeline/decode pipeline/resume \
           pipeline/output/av pipeline/output \
           pipeline/engine/dispatch pipeline/engine cmd cmd/verify cmd/bench cmd/doctor cmd/plan cmd/render cmd/queue cmd/serve cmd/launch
all:
include $(FOLDERS:%=%/sources.mk) tests/standin/sources.mk

object = $(patsubst %,$O/%.o,$(basename $(filter %.c %.cc,$1))) $(patsubst %,$O/%.o,$(filter %.cu,$1))
OBJ += $(call object,$(SRC) $(CU_SRC))
LIB := $B/librollmill.a

# ---- how it is made ------------------------------------------------------------
# From the objects, not the archive: two functions of one name are an error here.
$B/rollmill: $(call object,$(CMD_SRC)) $(OBJ) $B/parts
	$(call say,LINK,$@) $(CC) $(OPT) -o $@ $(filter %.o,$^) $(LDLIBS)

# Their names, for tests/lint/check_loops.sh and check_exports.sh.
$B/objects: $(call object,$(CMD_SRC)) $(OBJ) $(FOLDERS:%=%/sources.mk)
	@mkdir -p $(@D) && printf '%s\n' $(filter %.o,$^) >$@

ifeq ($(MODE),release)
all: rollmill
rollmill: $B/rollmill
	@ln -sf $< $@
endif

$(LIB): $(OBJ) $B/parts
	$(call say,AR,$@) rm -f $@ && ar rcs $@ $(filter %.o,$^)

$O/%.o: %.c $O/flags
	@mkdir -p $(@D)
	$(call say,CC,$<) $(CC) $(CFLAGS) -c -o $@ $<

$O/%.o: %.cc $O/flags
	@mkdir -p $(@D)
	$(call say,CXX,$<) $(CXX) $(CXXFLAGS) -c -o $@ $<

# flags FILE TEXT: FILE is touched only when TEXT differs from that of the last build here.
define flags
$1: force
	@mkdir -p $$(@D)
	@echo '$2' | cmp -s - $$@ || echo '$2' > $$@
endef

# Packages are seen by those files alone that are about them.
SEES.MPI  := $(filter comm/mpi/%,$(SRC))
SEES.PQ   := jobs/queue/store_postgres.c tests/support/queue_sql.c
SEES.CUDA := $(filter kernels/cuda/% comm/nccl/% tests/standin/%,$(SRC))
define sees
$(call object,$(filter-out %_stub.c,$(SEES.$1))): CFLAGS += $($1_CFLAGS)
$(call object,$(filter-out %_stub.c,$(SEES.$1))): $O/flags.$1
$(call flags,$O/flags.$1,$($1_CFLAGS))
endef

$(eval $(call flags,$O/flags,$(CC) $(CFLAGS) $(CXX) $(CXXFLAGS)))
$(foreach package,MPI PQ CUDA,$(eval $(call sees,$(package))))
$(eval $(call flags,$B/parts,$(CC) $(OBJ) $(LDLIBS)))

# The commit goes into one object, rebuilt when it moves.
COMMIT := $(shell git describe --always --dirty --abbrev=12 2>/dev/null || echo unknown)
$(eval $(call flags,$O/commit,$(COMMIT)))
$O/base/version.o: $O/commit
build/%/base/version.o: CFLAGS += -DVERSION_COMMIT='"$(COMMIT)"' -DVERSION_FLAGS='"$(OPT)"'

say = $(if $(V),,@printf '  %-5s %s\n' $(1) $(2);)

include kernels/cuda/nvcc.mk tools/tools.mk tests/tests.mk tests/fuzz/fuzz.mk

help:
	@sed -n 's/^# //p;/^$$/q' Makefile

clean:
	rm -rf build rollmill

.PHONY: all help clean force
.SECONDARY:
-include $(shell find $O $F -name '*.d' 2>/dev/null)
