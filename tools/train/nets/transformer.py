"""The diffusion transformer: any frames at any noise levels, with or without the keys and values of
earlier frames.
"""

import torch
import torch.nn.functional as F


def rms(x, weight, eps=1e-6):
    return F.rms_norm(x, x.shape[-1:], weight.to(x.dtype), eps)


def rope_angles(head_dim, positions, rows, columns):
    """positions [F] -> cos, sin [F*rows*columns, head_dim/2] float32."""
    pairs = head_dim // 2
    third = pairs // 3

    def axis(at, count):
        f = 10000.0 ** (-torch.arange(count, dtype=torch.float64) / count)
        return torch.as_tensor(at, dtype=torch.float64)[:, None] * f

    a, b, c = (
        axis(positions, pairs - 2 * third),
        axis(range(rows), third),
        axis(range(columns), third),
    )
    grid = (len(a), rows, columns, -1)
    angle = torch.cat(
        [a[:, None, None].expand(grid), b[None, :, None].expand(grid), c[None, None].expand(grid)],
        -1,
    ).flatten(0, 2)
    return angle.cos().float(), angle.sin().float()


def rotate(x, angles):
    """x [B,heads,n,d]"""
    cos, sin = (a.to(x.dtype) for a in angles)
    even, odd = x[..., 0::2], x[..., 1::2]
    return torch.stack([even * cos - odd * sin, even * sin + odd * cos], -1).flatten(-2)


def attend(q, k, v):
    """[B,heads,n,d]. Written out on a CPU, where the fused form's backward pass is up to four times
    slower.
    """
    if q.is_cuda:
        return F.scaled_dot_product_attention(q, k, v)
    return (q * q.shape[-1] ** -0.5 @ k.transpose(-1, -2)).softmax(-1) @ v


class Transformer:
    """Weights with the way to apply them; nothing else is kept."""

    def __init__(self, weights, heads, freq_dim=128):
        self.w, self.heads, self.freq_dim = weights, heads, freq_dim
        self.layers = 1 + max(int(n.split(".")[1]) for n in weights if n.startswith("blocks."))
        self.dim = weights["patch_embedding.bias"].shape[0]

    def lin(self, name, x):
        return F.linear(x, self.w[name + ".weight"], self.w[name + ".bias"])

    def split(self, x):
        return x.unflatten(-1, (self.heads, -1)).transpose(1, 2)

    def time(self, t):
        """t [B,F] in 0..1000"""
        half = self.freq_dim // 2
        f = 10000.0 ** (-torch.arange(half, dtype=torch.float64, device=t.device) / half)
        a = t.double()[..., None] * f
        wave = torch.cat([a.cos(), a.sin()], -1).float()
        e = self.lin("time_embedding.2", F.silu(self.lin("time_embedding.0", wave)))
        return e, self.lin("time_projection.1", F.silu(e)).unflatten(-1, (6, self.dim))

    def text(self, emb):
        """emb [B,L,text_dim], zero after the prompt -> per layer k, v."""
        y = self.lin(
            "text_embedding.2", F.gelu(self.lin("text_embedding.0", emb), approximate="tanh")
        )
        out = []
        for i in range(self.layers):
            a = f"blocks.{i}.cross_attn"
            out.append(
                (
                    self.split(rms(self.lin(a + ".k", y), self.w[a + ".norm_k.weight"])),
                    self.split(self.lin(a + ".v", y)),
                )
            )
        return out

    def block(self, i, x, e0, text, angles, past, own):
        """x [B,F,T,D]; past: (k un-roped, v, angles) of clean frames, or None."""
        b, (B, Fr, T, D) = f"blocks.{i}", x.shape
        m = (self.w[b + ".modulation"] + e0).to(x.dtype)[:, :, :, None]  # [B,F,6,1,D]
        s1, c1, g1, s2, c2, g2 = m.unbind(2)
        a = b + ".self_attn"
        y = (F.layer_norm(x, (D,), eps=1e-6) * (1 + c1) + s1).flatten(1, 2)
        q = self.split(rms(self.lin(a + ".q", y), self.w[a + ".norm_q.weight"]))
        k = self.split(rms(self.lin(a + ".k", y), self.w[a + ".norm_k.weight"]))
        v = self.split(self.lin(a + ".v", y))
        if own is not None:
            own.append((k, v))
        q, k = rotate(q, angles), rotate(k, angles)
        if past is not None:
            k = torch.cat([rotate(past[0], past[2]), k], 2)
            v = torch.cat([past[1], v], 2)
        y = attend(q, k, v).transpose(1, 2).flatten(2)
        x = x + self.lin(a + ".o", y).view(B, Fr, T, D) * g1
        a = b + ".cross_attn"
        y = F.layer_norm(
            x, (D,), self.w[b + ".norm3.weight"], self.w[b + ".norm3.bias"], 1e-6
        ).flatten(1, 2)
        q = self.split(rms(self.lin(a + ".q", y), self.w[a + ".norm_q.weight"]))
        y = attend(q, *text).transpose(1, 2).flatten(2)
        x = x + self.lin(a + ".o", y).view(B, Fr, T, D)
        y = F.layer_norm(x, (D,), eps=1e-6) * (1 + c2) + s2
        return (
            x + self.lin(b + ".ffn.2", F.gelu(self.lin(b + ".ffn.0", y), approximate="tanh")) * g2
        )

    def __call__(self, x, t, text, positions=None, past=None, keep=False):
        """Flow of x [B,F,16,h,w] at t [B,F]. past: per layer (k, v) of clean frames and their
        positions: ([(k, v)...], positions). keep: also the pass's own keys and values."""
        B, Fr, C, h, w = x.shape
        rows, cols = h // 2, w // 2
        positions = range(Fr) if positions is None else positions
        angles = tuple(
            a.to(x.device) for a in rope_angles(self.dim // self.heads, positions, rows, cols)
        )
        before = past and tuple(
            a.to(x.device) for a in rope_angles(self.dim // self.heads, past[1], rows, cols)
        )
        e, e0 = self.time(t)
        y = (
            F.conv2d(
                x.flatten(0, 1),
                self.w["patch_embedding.weight"][:, :, 0],
                self.w["patch_embedding.bias"],
                stride=2,
            )
            .flatten(2)
            .transpose(1, 2)
            .unflatten(0, (B, Fr))
        )
        own = [] if keep else None
        for i in range(self.layers):
            p = past and (*past[0][i], before)
            y = self.block(i, y, e0, text[i], angles, p, own)
        shift, scale = (
            (self.w["head.modulation"] + e[:, :, None]).to(y.dtype)[:, :, :, None].unbind(2)
        )
        y = self.lin("head.head", F.layer_norm(y, (self.dim,), eps=1e-6) * (1 + scale) + shift)
        y = y.view(B, Fr, rows, cols, 2, 2, C).permute(0, 1, 6, 2, 4, 3, 5).reshape(x.shape)
        return (y, own) if keep else y
