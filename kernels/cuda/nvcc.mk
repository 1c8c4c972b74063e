# How .cu files are compiled: by nvcc for cards, or by the host's compiler for the stand-in.
# Machine code for two kinds of card; what is newer compiles the oldest of these texts it can.
CUDA_PTX  = $(sort 90 $(patsubst compute_%,%,$(lastword $(shell $(NVCC) --list-gpu-arch))))
CUDA_GEN  = $(foreach a,80 90a,-gencode arch=compute_$a,code=sm_$a) \
            $(foreach a,$(CUDA_PTX),-gencode arch=compute_$a,code=compute_$a)
# Without exceptions, run-time types and guarded statics the objects need no libstdc++.
NVFLAGS   = -std=c++20 -O3 -lineinfo -I. -MMD -MP $(CUDA_GEN) -Xptxas -v $(if $(CI),-Werror all-warnings) \
            -Xcompiler -Wall,-Wextra,-fno-exceptions,-fno-rtti,-fno-threadsafe-statics
CU_COMPILE.1       = $(NVCC) $(NVFLAGS)
CU_COMPILE.standin = $(CXX) $(STANDIN_FLAGS)

# What the compiler says, registers and spills with it, stays beside the object for
# tests/gpu/resources.sh; what is no such figure is shown.
$O/%.cu.o: %.cu $O/flags.cu
	@mkdir -p $(@D)
	$(call say,CU,$<) $(CU_COMPILE.$(CUDA)) -c -o $@ $< 2>$@.said; rc=$$?; \
	    grep -vE '^ptxas info|bytes stack frame' $@.said >&2; exit $$rc

$(eval $(call flags,$O/flags.cu,$(CU_COMPILE.$(CUDA))))
