#include "kernels/cuda/cuda_dev.h"

#include <cublas_api.h>
#include <cudnn.h>

#define SPELLED(n)                   #n
#define SPELL(n)                     SPELLED(n)
#define VERSION(major, minor, patch) SPELL(major) "." SPELL(minor) "." SPELL(patch)

const char cuda_versions[] =
    "cuBLASLt " VERSION(CUBLAS_VER_MAJOR, CUBLAS_VER_MINOR, CUBLAS_VER_PATCH) ", cuDNN " VERSION(
        CUDNN_MAJOR, CUDNN_MINOR, CUDNN_PATCHLEVEL);
