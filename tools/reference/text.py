"""UMT5 encoder over the real tokens of a prompt.

Weights are a dict under the checkpoint's names. No biases, no scaling of the
scores, and a table of relative positions in every layer.
"""

import math
import re

import torch
import torch.nn.functional as F

from .transformer import rms_norm

EPS = 1e-6
MAX_DISTANCE = 128


def position_buckets(n, buckets):
    """[n,n]: the bucket of key minus query. Half of the buckets for each direction; of
    these, half exact, the rest growing with the logarithm up to MAX_DISTANCE."""
    at = torch.arange(n)
    distance = at[None] - at[:, None]
    half, exact = buckets // 2, buckets // 4
    size = distance.abs()
    far = torch.log(size.clamp(min=1).float() / exact) / math.log(MAX_DISTANCE / exact)
    far = (exact + (far * (half - exact)).long()).clamp(max=half - 1)
    return torch.where(distance > 0, half, 0) + torch.where(size < exact, size, far)


def layer(w, name, x, heads):
    """x [n,dim] through one layer."""
    def linear(part, y):
        return F.linear(y, w[f"{name}.{part}.weight"])

    y = rms_norm(x, w[name + ".norm1.weight"], EPS)
    q, k, v = (linear(f"attn.{p}", y).unflatten(1, (heads, -1)).transpose(0, 1)[None] for p in "qkv")
    table = w[name + ".pos_embedding.embedding.weight"]
    bias = table[position_buckets(len(x), len(table))].permute(2, 0, 1)[None]
    y = F.scaled_dot_product_attention(q, k, v, attn_mask=bias, scale=1.0)
    x = x + linear("attn.o", y[0].transpose(0, 1).flatten(1))

    y = rms_norm(x, w[name + ".norm2.weight"], EPS)
    gate = F.gelu(linear("ffn.gate.0", y), approximate="tanh")
    return x + linear("ffn.fc2", linear("ffn.fc1", y) * gate)


def encode(w, ids):
    """ids [n], the prompt's tokens without padding -> [n,dim]."""
    layers = 1 + max(int(m[1]) for m in (re.match(r"blocks\.(\d+)\.", name) for name in w) if m)
    heads = w["blocks.0.pos_embedding.embedding.weight"].shape[1]
    x = w["token_embedding.weight"][ids]
    for i in range(layers):
        x = layer(w, f"blocks.{i}", x, heads)
    return rms_norm(x, w["norm.weight"], EPS)
