"""One forward pass of the diffusion transformer (Wan 2.1, text to video).

Weights are a dict of tensors under the checkpoint's names; they, and every
activation, have one dtype. A pass knows nothing of clips: who attends to whom is
the caller's function `attend`.

F frames, T tokens of a frame, C = heads * head_dim = dim.
"""

import json
from dataclasses import dataclass

import torch
import torch.nn.functional as F

PATCH = 2  # rows and columns of a patch; one frame deep
ROPE_BASE = 10000.0
CHANNELS = 16


@dataclass(frozen=True)
class Shape:
    dim: int
    ffn_dim: int
    freq_dim: int
    text_dim: int
    text_len: int
    heads: int
    layers: int
    eps: float = 1e-6

    @property
    def head_dim(self):
        return self.dim // self.heads


def read_shape(path):
    """Shape from a config.json."""
    with open(path) as file:
        c = json.load(file)
    return Shape(c["dim"], c["ffn_dim"], c["freq_dim"], c["text_dim"], c["text_len"],
                 c["num_heads"], c["num_layers"], c["eps"])


def linear(w, name, x):
    return F.linear(x, w[name + ".weight"], w[name + ".bias"])


def rms_norm(x, weight, eps):
    """Over the last dimension, at least in float32."""
    wide = x.float() if x.dtype == torch.bfloat16 else x
    return (wide * torch.rsqrt(wide.square().mean(-1, keepdim=True) + eps)).to(x.dtype) * weight


def layer_norm(x, eps, weight=None, bias=None):
    return F.layer_norm(x, x.shape[-1:], weight, bias, eps)


def attention(q, k, v):
    """[queries,heads,head_dim], [keys,heads,head_dim] twice -> [queries,heads*head_dim]."""
    q, k, v = (x.transpose(0, 1)[None] for x in (q, k, v))
    return F.scaled_dot_product_attention(q, k, v)[0].transpose(0, 1).flatten(1)


def rope_angles(head_dim, positions, rows, columns, base=ROPE_BASE):
    """Angles [F*T, head_dim/2] in float64 of the frames at the given positions.

    A head's pairs are shared out: what is left over and a third to the frame,
    a third (rounded down) each to the row and the column. base: of the frame's pairs.
    """
    pairs = head_dim // 2
    third = pairs // 3

    def axis(at, count, base=ROPE_BASE):
        frequency = base ** (-torch.arange(count, dtype=torch.float64) / count)
        return torch.as_tensor(at, dtype=torch.float64)[:, None] * frequency

    frame = axis(positions, pairs - 2 * third, base)
    row = axis(range(rows), third)
    column = axis(range(columns), third)
    grid = (len(frame), rows, columns, -1)
    return torch.cat([frame[:, None, None].expand(grid), row[None, :, None].expand(grid),
                      column[None, None].expand(grid)], dim=-1).flatten(0, 2)


def rotate(x, angles):
    """x [n,heads,head_dim], pairs (2i, 2i+1) turned by angles [n,1 or heads,head_dim/2]."""
    wide = torch.float64 if x.dtype == torch.float64 else torch.float32
    cos, sin = (f(angles).to(wide) for f in (torch.cos, torch.sin))
    even, odd = x.to(wide).unflatten(-1, (-1, 2)).unbind(-1)
    turned = torch.stack([even * cos - odd * sin, even * sin + odd * cos], dim=-1)
    return turned.flatten(-2).to(x.dtype)


def embed_time(w, shape, timestep):
    """timestep [F] -> e [F,dim] for the head, e0 [F,6,dim] for the layers."""
    half = shape.freq_dim // 2
    frequency = ROPE_BASE ** (-torch.arange(half, dtype=torch.float64) / half)
    angle = timestep.double()[:, None] * frequency
    wave = torch.cat([angle.cos(), angle.sin()], dim=1).to(w["patch_embedding.weight"].dtype)
    e = linear(w, "time_embedding.2", F.silu(linear(w, "time_embedding.0", wave)))
    return e, linear(w, "time_projection.1", F.silu(e)).unflatten(1, (6, shape.dim))


def embed_text(w, shape, prompt):
    """prompt [text_len,text_dim] -> per layer (keys, values), each [text_len,heads,head_dim].

    Every row takes part, those after the prompt's end too.
    """
    text = F.gelu(linear(w, "text_embedding.0", prompt), approximate="tanh")
    text = linear(w, "text_embedding.2", text)
    pairs = []
    for i in range(shape.layers):
        a = f"blocks.{i}.cross_attn"
        k = rms_norm(linear(w, a + ".k", text), w[a + ".norm_k.weight"], shape.eps)
        v = linear(w, a + ".v", text)
        pairs.append(tuple(x.unflatten(1, (shape.heads, -1)) for x in (k, v)))
    return pairs


def to_tokens(w, latent):
    """[F,16,h,w] -> [F,T,dim], tokens in rows."""
    return F.conv2d(latent, w["patch_embedding.weight"][:, :, 0], w["patch_embedding.bias"],
                    stride=PATCH).flatten(2).transpose(1, 2)


def to_latent(tokens, height, width):
    """[F,T,2*2*16] -> [F,16,h,w]; a token is ordered patch row, patch column, channel."""
    x = tokens.unflatten(2, (PATCH, PATCH, CHANNELS))
    x = x.unflatten(1, (height // PATCH, width // PATCH))  # frame, row, column, pr, pc, channel
    return x.permute(0, 5, 1, 3, 2, 4).reshape(len(x), CHANNELS, height, width)


def modulate(x, shift, scale, eps):
    """Layer norm without weights, then one shift and scale [F,dim] per frame."""
    return layer_norm(x, eps) * (1 + scale[:, None]) + shift[:, None]


def layer(w, shape, i, x, e0, text, attend):
    """x [F,T,dim] through layer i."""
    b = f"blocks.{i}"
    shift1, scale1, gate1, shift2, scale2, gate2 = (w[b + ".modulation"] + e0).unbind(1)

    def heads(y):
        return y.flatten(0, 1).unflatten(1, (shape.heads, -1))

    a = b + ".self_attn"
    y = modulate(x, shift1, scale1, shape.eps)
    q = rms_norm(linear(w, a + ".q", y), w[a + ".norm_q.weight"], shape.eps)
    k = rms_norm(linear(w, a + ".k", y), w[a + ".norm_k.weight"], shape.eps)
    y = attend(i, heads(q), heads(k), heads(linear(w, a + ".v", y)))
    x = x + linear(w, a + ".o", y).view_as(x) * gate1[:, None]

    a = b + ".cross_attn"
    y = layer_norm(x, shape.eps, w[b + ".norm3.weight"], w[b + ".norm3.bias"])
    q = rms_norm(linear(w, a + ".q", y), w[a + ".norm_q.weight"], shape.eps)
    x = x + linear(w, a + ".o", attention(heads(q), *text[i])).view_as(x)

    y = modulate(x, shift2, scale2, shape.eps)
    y = F.gelu(linear(w, b + ".ffn.0", y), approximate="tanh")
    return x + linear(w, b + ".ffn.2", y) * gate2[:, None]


def forward(w, shape, latent, timestep, text, attend):
    """Flow [F,16,h,w] of latent [F,16,h,w] at timestep [F].

    text: from embed_text. attend(i, q, k, v): self-attention of layer i for this
    pass's own queries, keys and values [F*T,heads,head_dim], normalised and not
    yet roped; returns [F*T,dim].
    """
    e, e0 = embed_time(w, shape, timestep)
    x = to_tokens(w, latent)
    for i in range(shape.layers):
        x = layer(w, shape, i, x, e0, text, attend)
    shift, scale = (w["head.modulation"] + e[:, None]).unbind(1)
    x = linear(w, "head.head", modulate(x, shift, scale, shape.eps))
    return to_latent(x, *latent.shape[2:])
