# Fuzzing: the library once more, by clang, with coverage and sanitizers. In make check each reader
# has some seconds, enough for the corpus and what lies nearest to it, always from the
# same seed; make fuzz looks further, from a seed of its own, as long as FUZZ_SECONDS says.
FUZZ_SECONDS ?= $(if $(filter fuzz,$(MAKECMDGOALS)),60,10)
FUZZ      := fuzz_safetensors.c fuzz_torch.c fuzz_gguf.c fuzz_adapter.c fuzz_shards.c fuzz_latents.c fuzz_tokenizer.c fuzz_job.c fuzz_spec.c \
             fuzz_snapshot.c fuzz_choice.c fuzz_case.c
F         := build/fuzz
CLANG     ?= clang
FUZZ_OPT  := -O1 -g -fsanitize=address,undefined -fno-sanitize-recover=all
$F/base/version.o: FUZZ_OPT += -DVERSION_COMMIT='"$(COMMIT)"' -DVERSION_FLAGS='"fuzz"'
FUZZ_SRC  := $(filter-out kernels/% comm/mpi/% comm/nccl/% comm/comm_device%,$(SRC)) $(filter-out %/kern_registry.c %/kern_device.c %_stub.c,$(wildcard kernels/*.c)) \
             $(addprefix cmd/verify/verify_,case.c rules.c slots.c lora.c) \
             comm/mpi/comm_mpi_stub.c comm/nccl/comm_nccl_stub.c comm/comm_device_stub.c \
             kernels/kern_registry_stub.c kernels/cuda/cuda_stub.c $(wildcard kernels/ref/*.c)
FUZZ_OBJ  := $(patsubst %,$F/%.o,$(basename $(FUZZ_SRC) $(TOOLKIT:%=tools/%)))

$F/%.o: %.c
	@mkdir -p $(@D)
	$(call say,FUZZ,$<) $(CLANG) -std=c11 -D_POSIX_C_SOURCE=200809L $(FUZZ_OPT) -fsanitize=fuzzer-no-link \
	    -ffp-contract=off $(PQ_CFLAGS) -I. -MMD -MP -c -o $@ $<

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

.PHONY: fuzz
