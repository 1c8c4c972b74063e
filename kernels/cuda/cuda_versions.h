/* cuda_versions.h - of CUDA's libraries, as this program was built with them. */
#ifndef CUDA_VERSIONS_H
#define CUDA_VERSIONS_H

extern const char cuda_versions[]; /* "cuBLASLt 13.1.0, cuDNN 9.19.0" */

#endif /* CUDA_VERSIONS_H */
