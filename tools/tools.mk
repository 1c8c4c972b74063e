# What is built and run beside the program: models and cases for tests, demo, benchmarks.
TOOLS   := make_model.c make_case.c
TOOLKIT := zip_writer.c torch_writer.c random_model.c spiece.c
PROGS   := $(TOOLS:%.c=$B/%)
KIT     := $B/libtoolkit.a

all: $B/rollmill $(PROGS)

$(KIT): $(TOOLKIT:%.c=$O/tools/%.o)
	$(call say,AR,$@) rm -f $@ && ar rcs $@ $^

$(PROGS): $B/%: $O/tools/%.o $(KIT) $(LIB)
	$(call say,LINK,$@) $(CC) $(OPT) -o $@ $^ $(LDLIBS)

# Packages are looked for while make reads its files, so what needs them runs in a
# make of its own, after they are there.
deps:
	@tools/deps.sh

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

.PHONY: deps demo-now bench-now gpu-check
