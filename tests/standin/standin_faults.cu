/*
 * standin_faults.cu - faults planted in kernels and in their use, each in a process of its
 * own: the stand-in must stop every one of them, and the same without its fault must pass.
 */
#include "kernels/cuda/cuda_device.cuh"

#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

extern "C" {
#include "kernels/cuda/cuda_dev.h"
}

enum { N = 128, EXTRA = 1 << 20 };

struct work {
    float *out;
    const float *in;
    int fault;
};

enum fault {
    NONE,
    PAST_THE_END,
    BEFORE_THE_START,
    FREED,
    PAST_A_SHARED_ARRAY,
    PAST_SHARED_MEMORY,
    NO_BARRIER,
    NOT_ALL_AT_THE_BARRIER,
    NOT_ALL_IN_THE_SHUFFLE,
    HOST_READS,
    OTHER_DEVICE,
    NO_SUCH_BLOCK,
    FAULTS
};

static const char *const names[FAULTS] = {
    "none",
    "a write past the end",
    "a read before the start",
    "memory that was freed",
    "a write past a shared array",
    "a write past the shared memory asked for",
    "no barrier between a write and a read",
    "a barrier that some threads do not reach",
    "a shuffle that some lanes do not reach",
    "device memory read by the host",
    "memory of another device",
    "a block of too many threads",
};

extern __shared__ unsigned char cuda_shared[];

/* Each thread hands its number to the one across the block. */
static __global__ void swap_across(struct work w)
{
    __shared__ float numbers[N];
    float *const dynamic = (float *)cuda_shared;
    int const i = (int)threadIdx.x;

    numbers[w.fault == PAST_A_SHARED_ARRAY ? i + N : i] =
        w.in[w.fault == BEFORE_THE_START ? i - 8 : i];
    dynamic[w.fault == PAST_SHARED_MEMORY ? i + N : i] = 0;
    if (w.fault != NO_BARRIER && (w.fault != NOT_ALL_AT_THE_BARRIER || i != 3)) __syncthreads();
    float const got = numbers[N - 1 - i];
    if (w.fault != NOT_ALL_IN_THE_SHUFFLE || i != 5)
        dynamic[i] = __shfl_xor_sync(WHOLE_WARP, got, 1);
    w.out[w.fault == PAST_THE_END ? i + EXTRA : i] = got;
}

static void must_succeed(status st)
{
    if (st == ST_OK) return;
    fprintf(stderr, "%s\n", error_last()->msg);
    _exit(1);
}

/* Exit 0 only if all went well and the numbers are right. */
static void run_fault(int fault)
{
    float in[N], got[N];
    void *device_in, *device_out, *stream;
    unsigned const threads = fault == NO_SUCH_BLOCK ? 2048 : N;

    for (int i = 0; i < N; i++) in[i] = (float)i;
    must_succeed(cuda_dev_select(fault == OTHER_DEVICE));
    must_succeed(cuda_dev_alloc(sizeof in, &device_in));
    must_succeed(cuda_dev_select(0));
    must_succeed(cuda_dev_alloc(sizeof got, &device_out));
    must_succeed(cuda_stream_open(&stream, false));
    must_succeed(cuda_dev_upload(device_in, in, sizeof in, stream));
    if (fault == FREED) cuda_dev_free(device_in);
    if (fault == HOST_READS && *(volatile float *)device_in >= 0) puts("read");
    for (int i = 0; i < 2; i++) { /* in either order of the threads */
        struct work const w = { (float *)device_out, (const float *)device_in, fault };
        must_succeed(CUDA_LAUNCH(swap_across, 1, threads, sizeof in, stream, w));
        must_succeed(cuda_dev_download(got, device_out, sizeof got, stream));
        for (int j = 0; j < N; j++)
            if (!(got[j] == in[N - 1 - j])) _exit(1);
    }
    cuda_dev_free(device_in);
    cuda_dev_free(device_out);
    cuda_stream_close(&stream);
    _exit(0);
}

int main(void)
{
    int wrong = 0;

    setenv("STANDIN_DEVICES", "2", 1);
    for (int fault = NONE; fault < FAULTS; fault++) {
        int how;
        fflush(stdout);
        pid_t const child = fork();
        if (!child) {
            if (fault != NONE && !freopen("/dev/null", "w", stderr)) _exit(0);
            run_fault(fault);
        }
        if (child < 0 || waitpid(child, &how, 0) != child) return 1;
        bool const passed = WIFEXITED(how) && WEXITSTATUS(how) == 0;
        printf("%s: %s\n", names[fault], passed ? "passed" : "stopped");
        wrong += passed != (fault == NONE);
    }
    return wrong != 0;
}
