"""Which precision is fast on a device."""

import functools

import torch


@functools.cache
def has_bfloat16(device):
    """Whether bfloat16 has its own instructions there: emulated it is many times slower than
    float32.
    """
    return torch.device(device).type != "cpu" or torch.cpu._is_avx512_bf16_supported()
