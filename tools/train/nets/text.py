"""The text encoder (UMT5's form)."""

import math

import torch
import torch.nn.functional as F

from .transformer import rms


def position_buckets(n, buckets=32):
    at = torch.arange(n)
    d = at[None] - at[:, None]
    half, exact = buckets // 2, buckets // 4
    size = d.abs()
    far = torch.log(size.clamp(min=1).float() / exact) / math.log(128 / exact)
    far = (exact + (far * (half - exact)).long()).clamp(max=half - 1)
    return torch.where(d > 0, half, 0) + torch.where(size < exact, size, far)


def encode_text(w, ids):
    """ids [B,L], 0 is padding -> [B,L,dim], zero after the prompt's end."""
    mask = ids != 0
    heads = w["blocks.0.pos_embedding.embedding.weight"].shape[1]
    layers = 1 + max(int(n.split(".")[1]) for n in w if n.startswith("blocks."))
    x = w["token_embedding.weight"][ids]
    buckets = position_buckets(ids.shape[1]).to(ids.device)
    hide = torch.zeros(mask.shape, device=ids.device).masked_fill(~mask, -1e9)[:, None, None]
    for i in range(layers):
        b = f"blocks.{i}"
        y = rms(x, w[b + ".norm1.weight"])
        q, k, v = (
            F.linear(y, w[f"{b}.attn.{p}.weight"]).unflatten(-1, (heads, -1)).transpose(1, 2)
            for p in "qkv"
        )
        bias = w[b + ".pos_embedding.embedding.weight"][buckets].permute(2, 0, 1)[None] + hide
        y = F.scaled_dot_product_attention(q, k, v, attn_mask=bias.to(q.dtype), scale=1.0)
        x = x + F.linear(y.transpose(1, 2).flatten(2), w[b + ".attn.o.weight"])
        y = rms(x, w[b + ".norm2.weight"])
        gate = F.gelu(F.linear(y, w[b + ".ffn.gate.0.weight"]), approximate="tanh")
        x = x + F.linear(F.linear(y, w[b + ".ffn.fc1.weight"]) * gate, w[b + ".ffn.fc2.weight"])
    return rms(x, w["norm.weight"]) * mask[..., None]
