# The tests: programs, and lists of command lines that tests/run runs.
HUNT ?= 200
UNIT := base/unit_base base/unit_json_tree base/unit_track base/unit_file_hash kernels/unit_cpu kernels/unit_cuda_plan \
        kernels/unit_cuda_fused kernels/unit_cuda_conv kernels/unit_pixels \
        cluster/unit_roles cluster/unit_topo cluster/unit_cost \
        jobs/unit_yaml jobs/unit_card jobs/unit_window jobs/unit_sweep jobs/unit_job jobs/unit_ids jobs/unit_docs jobs/unit_format jobs/unit_spec jobs/unit_queue jobs/unit_queue_store jobs/unit_queue_wait \
        weights/unit_weights weights/unit_pickle weights/unit_bind weights/unit_formats weights/unit_adapter weights/unit_random_model \
        text/unit_text_clean text/unit_tokenizer text/unit_umt5 text/unit_text_cache dit/unit_schedule dit/unit_dit_shape cache/unit_kv_policy line/unit_timeline \
        vae/unit_vae vae/unit_vae_parts vae/unit_vae_kernels vae/unit_vae_refuse \
        output/unit_video output/unit_drift output/unit_pictures output/unit_contact output/unit_clip_writer output/unit_clip_folder resume/unit_resume output/unit_extension output/unit_written cmd/unit_work_list engine/unit_numerics engine/unit_prompt_bank
CUDA_UNIT := unit/kernels/unit_cuda # needs a card or the stand-in
CHECK := check_kernels.c check.c check_rows.c check_wire.c check_keys.c check_heavy.c check_attention.c check_fused.c \
         check_pictures.c low_precision.c low_precision_attention.c check_closed.c mutants.c # one program
COMM_CHECKS := comm_check_exchange.c comm_check_gather.c comm_check_collective.c comm_check_control.c comm_check_end.c
SUPPORT := clips.c as_bytes.c writer_fixture.c vae_clip.c clip_fixture.c chain_fixture.c random_case.c comm_jitter.c comm_poison.c \
           comm_card.c nccl_harness.c nccl_ranks.c mpi_harness.c queue_sql.c
# Programs by their sources; all link support and the library, which give what is asked for.
PROGRAM := $(UNIT:%=unit/%) line/line_clip line/line_batch line/line_recached line/line_mistakes line/line_memory comm/line_comm decode/line_decode \
           engine/engine_run engine/engine_open engine/engine_starts \
           $(if $(filter 1,$(CUDA)),unit/kernels/unit_cuda_lt gpu/gpu_plans gpu/gpu_plans_conv)
HELPER := demo/demo_film queue/queue_load # what scripts run
NCCL_LINE := comm/line_nccl comm/line_nccl_limits # on the stand-in
MPI_TEST  := comm/mpi_comm line/mpi_clip decode/mpi_decode # under mpirun, with as many RANKS as their heads say
CLI := cli_world.sh cli_verify.sh cli_policies.sh cli_mistakes.sh cli_inspect.sh cli_check.sh cli_plan.sh cli_doctor.sh cli_render.sh \
       cli_prompt.sh cli_demo.sh cli_trust.sh cli_swap.sh cli_nth.sh cli_power.sh cli_codes.sh cli_memory.sh cli_resume.sh cli_extend.sh \
       cli_signals.sh cli_threads.sh cli_serve.sh cli_notes.sh cli_launch.sh
CLI_WAITS := cli_faults.sh cli_stopped.sh cli_hang.sh cli_queue.sh cli_times.sh # for a stall, a lease

# at: where a program is built; names are unique in the tree.
at = $(patsubst %,$B/tests/%,$(notdir $1))
TESTS := $(call at,$(PROGRAM)) $B/tests/check_kernels $B/tests/alloc_nth

$B/libsupport.a: $(SUPPORT:%.c=$O/tests/support/%.o)
	$(call say,AR,$@) rm -f $@ && ar rcs $@ $^

# program SOURCE: the rule of one program
define program
$B/tests/$(notdir $1): $O/tests/$1.o $B/libsupport.a $(KIT) $(LIB)
	$$(call say,LINK,$$@) mkdir -p $$(@D) && $(CC) $(OPT) $$(LINK_OPT) -o $$@ $$(filter %.o,$$^) \
	    $B/libsupport.a $(KIT) $(LIB) $(LDLIBS) -lcmocka $$(TEST_LDLIBS)
endef
$(foreach test,$(PROGRAM) $(HELPER) $(CUDA_UNIT) $(NCCL_LINE) $(MPI_TEST) comm/mpi_nccl kernels/check_kernels alloc/alloc_nth \
    standin/standin_ready,$(eval $(call program,$(test))))

$B/tests/unit_weights: TEST_LDLIBS = -lzip
# What the program has beside the library.
$B/tests/unit_work_list: $O/cmd/render/work_list.o $O/cmd/render/work_list_source.o $O/cmd/render/clip_choice.o $O/cmd/clip_folder.o $O/cmd/job_encoders.o $O/cmd/job_numerics.o $O/cmd/prompt_lengths.o
$B/tests/line_mistakes: $(call object,$(filter cmd/verify/% cmd/exit_code.c cmd/opts.c cmd/backend.c,$(CMD_SRC)))
$B/tests/unit_cuda_conv: $O/tests/standin/standin_dnn_conv.o $O/tests/standin/standin_dnn_chain.o
$B/tests/engine_run $B/tests/engine_open $B/tests/engine_starts: $O/tests/engine/made_source.o $O/tests/engine/engine_fixture.o $B/make_model
$B/tests/engine_run: $O/tests/engine/hanging_backend.o
$B/tests/engine_starts: $O/tests/engine/start_backend.o
$B/tests/check_kernels: $(CHECK:%.c=$O/tests/kernels/%.o)
$(call at,comm/line_comm comm/mpi_comm $(NCCL_LINE) comm/mpi_nccl): $(COMM_CHECKS:%.c=$O/tests/comm/%.o)
$B/tests/unit_written: LINK_OPT = $(addprefix -Wl$(comma)--wrap=,write pwrite pread fsync close rename mkdir)
$B/tests/unit_prompt_bank: LINK_OPT = -Wl,--wrap=prompt_request,--wrap=prompt_request_end
$B/tests/unit_file_hash: LINK_OPT = -Wl,--wrap=digest_file,--wrap=time
$B/tests/engine_starts: LINK_OPT = -Wl,--wrap=file_watch_map
$B/tests/line_mistakes: LINK_OPT = $(addprefix -Wl$(comma)--wrap=,kv_window_spans kv_clean_spans kv_recache_find average_add \
    kv_enter rank_best kv_cache_get kv_head_is_static rope_angles \
    kv_choose kv_observe frames_add line_upload_angles rope_jittered_base)
$B/tests/line_memory: LINK_OPT = $(addprefix -Wl$(comma)--wrap=,malloc calloc realloc aligned_alloc free)
$B/tests/alloc_nth: LINK_OPT = $(addprefix -Wl$(comma)--wrap=,malloc calloc realloc strdup strndup)

# The stand-in itself, by planted faults.
$B/tests/standin_faults: $O/tests/standin/standin_faults.cu.o $(LIB)
	$(call say,LINK,$@) mkdir -p $(@D) && $(CC) $(OPT) -o $@ $^ $(LDLIBS)

# Preloaded by cli_resume.sh, cli_extend.sh, cli_power.sh, cli_nth.sh, cli_hang.sh, cli_times.sh, cli_codes.sh,
# cli_queue.sh and cli_swap.sh.
SHIM := die_at shim_nth shim_store shim_swap
$(SHIM:%=$B/%.so): $B/%.so: tests/shim/%.c
	$(call say,CC,$<) mkdir -p $(@D) && $(CC) -std=c11 $(WARN) -O2 -fPIC -shared -pthread -o $@ $< -ldl

# Each call of a render gone wrong; power cuts; killed at every call that changes a file, signals at
# random moments; ranks stopped on a machine with much else to do; a world killed at every call that
# changes a file, its queue's too; worlds on a queue that are killed and stopped 500 times; how busy
# a queue keeps its worlds; two hosts and the link between them; worlds under a real Slurm, where these can be had: hours.
torture: tests
	@TORTURE=1 tests/cli/cli_nth.sh
	@TORTURE=1 tests/cli/cli_swap.sh
	@TORTURE=1 tests/cli/cli_power.sh || [ $$? -eq 77 ]
	@TORTURE=1 tests/cli/cli_resume.sh
	@TORTURE=1 tests/cli/cli_extend.sh
	@TORTURE=1 tests/cli/cli_signals.sh
	@TORTURE=1 tests/cli/cli_stopped.sh
	@! command -v valgrind >/dev/null || valgrind -q --error-exitcode=99 --leak-check=no $B/tests/unit_written 200
	@tests/queue/killed.sh
	@tests/queue/points.sh
	@tests/queue/postgres.sh run tests/queue/points.sh || [ $$? -eq 77 ]
	@FAULTS=500 tests/queue/chaos.sh sqlite
	@FAULTS=500 tests/queue/chaos.sh postgres || [ $$? -eq 77 ]
	@tests/queue/full.sh || [ $$? -eq 77 ]
	@REQUESTS=1000 tests/queue/occupancy.sh
	@tests/queue/occupancy.sh postgres || [ $$? -eq 77 ]
	@tests/mpi/two_hosts.sh || [ $$? -eq 77 ]
	@tests/queue/slurm.sh || [ $$? -eq 77 ]

tests: all $(SHIM:%=$B/%.so) $B/objects $(TESTS) $(call at,$(HELPER) $(MPI_TEST)) $(if $(filter 0,$(CUDA)),,$(call at,$(CUDA_UNIT)))

# What the bare build is made of, for tests/lint/check_bare.sh.
print-bare:
	@echo $(SRC) $(CMD_SRC) $(TOOLS:%=tools/%) $(TOOLKIT:%=tools/%)

# As many at a time as there are processors, where nobody said how many; the makes that
# these start share them.
check check-quick demo bench: deps
	@$(MAKE) $(if $(filter -j%,$(MAKEFLAGS)),,-j$(shell nproc)) --no-print-directory $@-now

# A list of tests is a file of command lines, tests/lists/NAME, or what these make: one line
# for each program, and for each number of RANKS in the head of a test over MPI.
programs = $(foreach test,$(notdir $2),"$1/tests/$(test)")
ranks    = $(shell sed -n 's/^.*RANKS \([0-9 ]*[0-9]\).*$$/\1/p' tests/$1.c)
mpiruns  = $(foreach test,$2,$(foreach n,$(call ranks,$(test)),"ASAN_OPTIONS=detect_leaks=0 tests/mpirun.sh $n $1/tests/$(notdir $(test))"))
list     = $(1:%=@tests/lists/%)

# Under a sanitizer what is slow without one is left out, and what asks the allocator how much it
# has given.
ASAN := $(filter-out weights/unit_random_model vae/unit_vae_parts engine/unit_prompt_bank,$(UNIT)) alloc_nth line_comm
TSAN := unit_base unit_track line_comm
TSAN_MORE := rollmill $(addprefix tests/,unit_cpu line_clip line_decode engine_run engine_open engine_starts mpi_comm mpi_clip mpi_decode)

# The CUDA parts on a stand-in, where there is a toolkit; comm_nccl where NCCL's header is, too.
WITH_STANDIN  := $(if $(CUDA_HOME),1)
WITH_NCCL     := $(if $(filter-out 0,$(NCCL)),1)
STANDIN_BUILT := objects rollmill tests/check_kernels tests/unit_cuda tests/standin_faults tests/standin_ready
NCCL_MPI      := $(if $(filter 1,$(MPI)),comm/mpi_nccl)
NCCL_BUILT    := $(if $(WITH_NCCL),$(addprefix tests/,$(notdir $(NCCL_LINE) $(NCCL_MPI))))
BARE_BUILT    := objects rollmill make_model make_case tests/check_kernels # what tools/gpu_check.sh needs
STANDIN_LIST  := $(if $(WITH_STANDIN),$(call list,standin),"echo the CUDA toolkit is not installed: no stand-in; exit 77")
NCCL_LIST     := $(if $(WITH_NCCL),$(call list,nccl hunt-nccl) $(call mpiruns,build/standin,$(NCCL_MPI)),"echo nccl.h is not beside CUDA: comm_nccl is not built; exit 77")

# The queue's rules and the real program on PostgreSQL, too.
QUEUES := $(if $(filter 1,$(POSTGRES)),@tests/lists/postgres,"echo libpq-dev is not installed: no PostgreSQL; exit 77")

# What begins early ends early: the longest first.
CHECKS = $(call list,lint) tests/lint/check_bare.sh $(CLI_WAITS:%="WAITS tests/cli/%") "WAITS tests/queue/chaos.sh" $B/tests/queue_load \
    $(CLI:%=tests/cli/%) $(STANDIN_LIST) \
    $(filter-out $B/tests/gpu_plans%,$(TESTS)) \
    $(call mpiruns,$B,$(MPI_TEST)) "WAITS tests/mpi/mpi_ends.sh" $(call list,hunt) $(NCCL_LIST) $(call list,gpu) \
    $(QUEUES) $(call programs,build/asan,$(ASAN)) $(call programs,build/tsan,$(TSAN)) $(call list,sanitized) $(FUZZ_RUNS)

# What the lines of a list refer to. Seeds are shared among the hunts; with SEED these, and the
# fuzzers, begin at the same one each time, else (make hunt, make fuzz) where the clock says.
tests_run = B=$B SEEDS=$$(($(HUNT) / 5)) CUDA_HOME=$(CUDA_HOME) FUZZ_SECONDS=$(FUZZ_SECONDS) \
    TSAN_OPTIONS=ignore_noninstrumented_modules=1 LIMIT=$1 tests/run
MAKE_HERE = $(MAKE) --no-print-directory

hunt: tests
	@$(if $(WITH_NCCL),$(MAKE_HERE) MODE=standin NCCL=standin $(NCCL_BUILT:%=build/standin/%))
	@$(call tests_run,36000) $(call list,hunt $(if $(WITH_NCCL),hunt-nccl))

lint: $B/objects
	@$(call tests_run,600) $(call list,lint)

# Before a commit: units, golden cases, the line over threads, what is read of the files.
check-quick-now: tests
	@SEED=1 $(call tests_run,300) $(call list,quick) $(filter-out $B/tests/gpu_plans% %/unit_random_model %/unit_vae_parts %/check_kernels %/alloc_nth %/engine_run %/engine_starts,$(TESTS))

check-now: tests
	@$(MAKE_HERE) MODE=asan tests
	@$(MAKE_HERE) MODE=tsan $(TSAN:%=build/tsan/tests/%) $(TSAN_MORE:%=build/tsan/%)
	@$(if $(WITH_STANDIN),$(MAKE_HERE) MODE=standin $(if $(WITH_NCCL),NCCL=standin) $(STANDIN_BUILT:%=build/standin/%) $(NCCL_BUILT:%=build/standin/%))
	@$(if $(WITH_STANDIN),$(MAKE_HERE) MODE=standin MEDIA=0 MPI=0 $(BARE_BUILT:%=build/standin-bare/%))
	@$(MAKE_HERE) $(FUZZ:%.c=$F/%)
	@SEED=1 NODES=25000 $(call tests_run,900) $(CHECKS)

.PHONY: print-bare tests lint hunt check check-quick check-now check-quick-now demo bench
