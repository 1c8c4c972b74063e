"""Streaming decoder and encoder of the Wan 2.1 VAE.

Weights are a dict under the checkpoint's names; which part upsamples, and in time
too, is read off the names there are. Tensors are [1,channels,frames,h,w] inside.
A `State` holds the last two input frames of every causal convolution, so that a
clip may be handed in piece by piece.
"""

import re

import torch
import torch.nn.functional as F

LATENT_MEAN = (-0.7571, -0.7089, -0.9113, 0.1075, -0.1745, 0.9653, -0.1517, 1.5508,
               0.4134, -0.0715, 0.5517, -0.3632, -0.1922, -0.9497, 0.2503, -0.2921)
LATENT_STD = (2.8184, 1.4541, 2.3275, 2.6558, 1.2196, 1.7708, 2.6052, 2.0743,
              3.2687, 2.1526, 2.8652, 1.5579, 1.6382, 1.1253, 2.8251, 1.9160)


class State:
    """What a stream remembers: the frames before the next ones, by convolution."""

    def __init__(self):
        self.past = {}
        self.first = True  # nothing has been handed in yet


def _constants(x):
    shape = (1, -1, 1, 1, 1)
    return (torch.tensor(c, dtype=x.dtype, device=x.device).view(shape)
            for c in (LATENT_MEAN, LATENT_STD))


def conv(w, name, x, state=None, **options):
    """Convolution, causal in time where its kernel is longer than one frame."""
    weight = w[name + ".weight"]
    depth, height, width = weight.shape[2:]
    if depth > 1:
        past = state.past.get(name)
        if past is None:
            past = x.new_zeros(x.shape[0], x.shape[1], depth - 1, *x.shape[3:])
        x = torch.cat([past, x], dim=2)
        state.past[name] = x[:, :, 1 - depth:]
    return F.conv3d(x, weight, w[name + ".bias"], padding=(0, height // 2, width // 2), **options)


def rms_norm(w, name, x):
    gamma = w[name + ".gamma"].view(1, -1, 1, 1, 1)
    return F.normalize(x, dim=1) * (x.shape[1] ** 0.5) * gamma


def residual(w, name, x, state):
    y = conv(w, name + ".residual.2", F.silu(rms_norm(w, name + ".residual.0", x)), state)
    y = conv(w, name + ".residual.6", F.silu(rms_norm(w, name + ".residual.3", y)), state)
    return y + (conv(w, name + ".shortcut", x) if name + ".shortcut.weight" in w else x)


def by_frame(x, f):
    """f over [frames,channels,h,w]."""
    y = f(x.transpose(1, 2).flatten(0, 1))
    return y.unflatten(0, (x.shape[0], -1)).transpose(1, 2)


def attention(w, name, x):
    """One head, within each frame."""
    def frames(y):
        qkv = F.conv2d(y, w[name + ".to_qkv.weight"], w[name + ".to_qkv.bias"])
        q, k, v = qkv.flatten(2).transpose(1, 2).chunk(3, dim=2)
        out = F.scaled_dot_product_attention(q[:, None], k[:, None], v[:, None])[:, 0]
        out = out.transpose(1, 2).unflatten(2, y.shape[2:])
        return F.conv2d(out, w[name + ".proj.weight"], w[name + ".proj.bias"])

    return x + by_frame(rms_norm(w, name + ".norm", x), frames)


def upsample(w, name, x, state):
    """Twice the frames where there is a time_conv (not for a stream's first frame,
    which the convolution never sees), then twice the rows and columns."""
    if name + ".time_conv.weight" in w and not state.first:
        weight = w[name + ".time_conv.weight"]
        past = state.past.get(name)
        if past is None:
            past = x.new_zeros(x.shape[0], x.shape[1], 2, *x.shape[3:])
        x = torch.cat([past, x], dim=2)
        state.past[name] = x[:, :, -2:]
        y = F.conv3d(x, weight, w[name + ".time_conv.bias"])
        x = torch.stack(y.chunk(2, dim=1), dim=3).flatten(2, 3)

    def spatial(y):
        y = F.interpolate(y, scale_factor=2, mode="nearest")
        return F.conv2d(y, w[name + ".resample.1.weight"], w[name + ".resample.1.bias"], padding=1)

    return by_frame(x, spatial)


def downsample(w, name, x, state):
    """Half the rows and columns; then, where there is a time_conv, half the frames,
    but a stream's first frame, which passes as it is."""
    def spatial(y):
        y = F.pad(y, (0, 1, 0, 1))
        return F.conv2d(y, w[name + ".resample.1.weight"], w[name + ".resample.1.bias"], stride=2)

    x = by_frame(x, spatial)
    if name + ".time_conv.weight" in w:
        past = state.past.get(name)
        state.past[name] = x[:, :, -1:]
        if past is not None:
            x = F.conv3d(torch.cat([past, x], dim=2), w[name + ".time_conv.weight"],
                         w[name + ".time_conv.bias"], stride=(2, 1, 1))
    return x


def _middle(w, name, x, state):
    x = residual(w, name + ".0", x, state)
    return residual(w, name + ".2", attention(w, name + ".1", x), state)


def _samples(w, name, x, state, resample):
    pattern = re.compile(re.escape(name) + r"\.(\d+)\.")
    for i in range(1 + max(int(m[1]) for m in map(pattern.match, w) if m)):
        part = f"{name}.{i}"
        step = resample if part + ".resample.1.weight" in w else residual
        x = step(w, part, x, state)
    return x


def _head(w, name, x, state):
    return conv(w, name + ".2", F.silu(rms_norm(w, name + ".0", x)), state)


def decode_piece(w, z, state):
    """Pictures [1,3,frames,8h,8w] of z [1,16,F,h,w], whose numbers are already scaled:
    1 for the stream's first latent frame, which comes alone, 4 for every later one."""
    x = conv(w, "decoder.conv1", conv(w, "conv2", z), state)
    x = _middle(w, "decoder.middle", x, state)
    x = _samples(w, "decoder.upsamples", x, state, upsample)
    x = _head(w, "decoder.head", x, state)
    state.first = False
    return x


def decode(w, latents, frames_per_piece=3):
    """latents [F,16,h,w] -> pictures [1+4(F-1),3,8h,8w] in [-1,1]."""
    z = latents.transpose(0, 1)[None]
    mean, std = _constants(z)
    z = z * std + mean
    state = State()
    pieces = [z[:, :, :1], *z[:, :, 1:].split(frames_per_piece, dim=2)]
    out = torch.cat([decode_piece(w, p, state) for p in pieces if p.shape[2]], dim=2)
    return out[0].transpose(0, 1).clamp(-1, 1)


def encode(w, pixels):
    """pictures [1+4n,3,H,W] in [-1,1] -> latents [1+n,16,H/8,W/8]."""
    x = pixels.transpose(0, 1)[None]
    state = State()
    moments = []
    for piece in [x[:, :, :1], *x[:, :, 1:].split(4, dim=2)]:
        if not piece.shape[2]:
            continue
        y = conv(w, "encoder.conv1", piece, state)
        y = _samples(w, "encoder.downsamples", y, state, downsample)
        y = _middle(w, "encoder.middle", y, state)
        moments.append(conv(w, "conv1", _head(w, "encoder.head", y, state)))
        state.first = False
    mu = torch.cat(moments, dim=2).chunk(2, dim=1)[0]
    mean, std = _constants(mu)
    return ((mu - mean) / std)[0].transpose(0, 1)
