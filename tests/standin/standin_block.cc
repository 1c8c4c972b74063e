/*
 * standin_block.cc - the threads of a block, as fibers of one thread of the host.
 *
 * Fibers stay: one that has run a thread to its end waits for the next, so that its stack
 * has been left in order. Each has guard pages, and the address sanitizer is told of every change.
 */
#include "tests/standin/standin_device.cuh"

#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>

thread_local struct standin_place threadIdx, blockIdx, blockDim, gridDim;
alignas(1024) thread_local unsigned char cuda_shared[STANDIN_SHARED];

enum { MAX_THREADS = 1024, STACK = 256 << 10, GUARD = 4 << 10, VALUE = 16, LANES = 32 };

enum state { ENDED, READY, AT_BARRIER, IN_EXCHANGE };

struct fiber {
    unsigned char *stack; /* GUARD no-man's-land, then STACK */
    void *sp;             /* while it does not run */
    void *fake;           /* the sanitizer's */
    enum state state;
    struct standin_place at;
    unsigned char value[2][VALUE]; /* of its last two exchanges */
    unsigned exchanges;
};

/* What a thread of the host has. */
struct host {
    struct fiber fibers[MAX_THREADS];
    int made, running;
    void *sp, *fake;
    const void *bottom; /* of the host's own stack */
    size_t size;
    void (*body)(void *);
    void *arg;

    ~host()
    {
        for (int i = 0; i < made; i++) munmap(fibers[i].stack, GUARD + STACK);
    }
};
static thread_local struct host host;

/* Leave off here, with the stack pointer in *from, and go on where `to` left off. */
extern "C" void standin_switch(void **from, void *to);
asm(".text\n"
    ".globl standin_switch\n"
    ".type standin_switch, @function\n"
    "standin_switch:\n"
    "    push %rbp\n    push %rbx\n    push %r12\n    push %r13\n    push %r14\n    push %r15\n"
    "    mov %rsp, (%rdi)\n"
    "    mov %rsi, %rsp\n"
    "    pop %r15\n    pop %r14\n    pop %r13\n    pop %r12\n    pop %rbx\n    pop %rbp\n"
    "    ret\n"
    ".size standin_switch, . - standin_switch\n");

/* From a fiber to the loop over them. */
static void give_way(enum state s)
{
    struct fiber *const f = &host.fibers[host.running];

    f->state = s;
    __sanitizer_start_switch_fiber(&f->fake, host.bottom, host.size);
    standin_switch(&f->sp, host.sp);
    __sanitizer_finish_switch_fiber(f->fake, &host.bottom, &host.size);
}

static void fiber_life(void)
{
    __sanitizer_finish_switch_fiber(NULL, &host.bottom, &host.size);
    for (;;) {
        host.body(host.arg);
        give_way(ENDED);
    }
}

static void resume(int i)
{
    struct fiber *const f = &host.fibers[i];

    host.running = i;
    threadIdx = f->at;
    __sanitizer_start_switch_fiber(&host.fake, f->stack + GUARD, STACK);
    standin_switch(&host.sp, f->sp);
    __sanitizer_finish_switch_fiber(host.fake, NULL, NULL);
}

static void make_fiber(struct fiber *f)
{
    f->stack = (unsigned char *)mmap(NULL, GUARD + STACK, PROT_READ | PROT_WRITE,
                                     MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (f->stack == MAP_FAILED || mprotect(f->stack, GUARD, PROT_NONE))
        standin_stop("no memory for a thread's stack");
    /* Seen from fiber_life as a call: registers, the way in, and no way back. */
    void **sp = (void **)(f->stack + GUARD + STACK) - 1;
    *--sp = (void *)fiber_life;
    f->sp = sp - 6;
}

/* Every lane of a warp is in the exchange, or none goes on. */
static bool release_warps(int n)
{
    bool any = false;

    for (int first = 0; first < n; first += LANES) {
        int const end = first + LANES < n ? first + LANES : n;
        bool all = true;
        for (int i = first; i < end; i++) all &= host.fibers[i].state == IN_EXCHANGE;
        for (int i = first; all && i < end; i++) host.fibers[i].state = READY;
        any |= all;
    }
    return any;
}

static bool release_block(int n)
{
    for (int i = 0; i < n; i++)
        if (host.fibers[i].state != AT_BARRIER) return false;
    for (int i = 0; i < n; i++) host.fibers[i].state = READY;
    return true;
}

static bool has_ended(int n)
{
    for (int i = 0; i < n; i++)
        if (host.fibers[i].state != ENDED) return false;
    return true;
}

static void run_block(int n, bool backwards)
{
    for (int i = 0; i < n; i++) host.fibers[i].state = READY;
    for (;;) {
        for (int i = 0; i < n; i++) {
            int const which = backwards ? n - 1 - i : i;
            if (host.fibers[which].state == READY) resume(which);
        }
        if (has_ended(n)) return;
        bool const warps = release_warps(n), block = release_block(n);
        if (!warps && !block)
            standin_stop("block %u %u %u: some threads wait where others do not come", blockIdx.x,
                         blockIdx.y, blockIdx.z);
    }
}

static int threads_of(const struct standin_grid *g)
{
    uint64_t const n = (uint64_t)g->block.x * g->block.y * g->block.z;

    if (n < 1 || n > MAX_THREADS) standin_stop("a block of %llu threads", (unsigned long long)n);
    if (g->grid.x < 1 || g->grid.x > 0x7fffffff || g->grid.y < 1 || g->grid.y > 65535 ||
        g->grid.z < 1 || g->grid.z > 65535)
        standin_stop("a grid of %u x %u x %u blocks", g->grid.x, g->grid.y, g->grid.z);
    if (g->shared > STANDIN_SHARED) standin_stop("%zu bytes of shared memory", g->shared);
    return (int)n;
}

static void prepare_block(const struct standin_grid *g, int n)
{
    blockDim = g->block;
    gridDim = g->grid;
    for (; host.made < n; host.made++) make_fiber(&host.fibers[host.made]);
    for (int i = 0; i < n; i++) {
        unsigned const u = (unsigned)i;
        host.fibers[i].at = { u % g->block.x, u / g->block.x % g->block.y,
                              u / g->block.x / g->block.y };
        host.fibers[i].exchanges = 0;
    }
}

void standin_run(const struct standin_grid *g, void (*body)(void *), void *arg)
{
    static thread_local unsigned launches;
    int const n = threads_of(g);
    uint64_t const blocks = (uint64_t)g->grid.x * g->grid.y * g->grid.z;
    bool const backwards = launches++ % 2;

    prepare_block(g, n);
    host.body = body;
    host.arg = arg;
    ASAN_POISON_MEMORY_REGION(cuda_shared + g->shared, sizeof cuda_shared - g->shared);
    for (uint64_t i = 0; i < blocks; i++) {
        uint64_t const b = backwards ? blocks - 1 - i : i;
        blockIdx = { (unsigned)(b % g->grid.x), (unsigned)(b / g->grid.x % g->grid.y),
                     (unsigned)(b / g->grid.x / g->grid.y) };
        memset(cuda_shared, 0xff, g->shared);
        run_block(n, backwards);
    }
    ASAN_UNPOISON_MEMORY_REGION(cuda_shared, sizeof cuda_shared);
}

void standin_barrier(void) { give_way(AT_BARRIER); }

int standin_lane(void) { return host.running % LANES; }

/* Values alternate between two places: a lane that is ahead by one exchange does not
 * overwrite what another has yet to read. */
void standin_exchange(void *value, size_t bytes, int from)
{
    struct fiber *const f = &host.fibers[host.running];
    unsigned const place = f->exchanges++ % 2;

    if (bytes > VALUE) standin_stop("an exchange of %zu bytes", bytes);
    memcpy(f->value[place], value, bytes);
    give_way(IN_EXCHANGE);
    int const first = (int)(f - host.fibers) / LANES * LANES;
    memcpy(value, host.fibers[first + from].value[place], bytes);
}
