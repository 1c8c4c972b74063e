"""Weights to start from, by the names and shapes of the released checkpoints."""

import math

import torch


class Maker:
    def __init__(self, seed):
        self.weights, self.g = {}, torch.Generator().manual_seed(seed)

    def normal(self, name, shape, deviation):
        self.weights[name] = torch.randn(shape, generator=self.g) * deviation

    def fill(self, name, shape, value):
        self.weights[name] = torch.full(shape, float(value))

    def linear(self, name, outputs, inputs, gain=1.0, bias=True):
        self.normal(name + ".weight", (outputs, inputs), gain / math.sqrt(inputs))
        if bias:
            self.fill(name + ".bias", (outputs,), 0)

    def conv(self, name, outputs, inputs, kernel, gain=1.0):
        self.normal(
            name + ".weight",
            (outputs, inputs, *kernel),
            gain / math.sqrt(inputs * math.prod(kernel)),
        )
        self.fill(name + ".bias", (outputs,), 0)

    def residual(self, name, a, b):
        self.fill(name + ".residual.0.gamma", (a, 1, 1, 1), 1)
        self.conv(name + ".residual.2", b, a, (3, 3, 3), 1.4)
        self.fill(name + ".residual.3.gamma", (b, 1, 1, 1), 1)
        self.conv(name + ".residual.6", b, b, (3, 3, 3), 0.3)
        if a != b:
            self.conv(name + ".shortcut", b, a, (1, 1, 1))

    def middle(self, name, c):
        self.residual(name + ".0", c, c)
        self.fill(name + ".1.norm.gamma", (c, 1, 1), 1)
        self.conv(name + ".1.to_qkv", 3 * c, c, (1, 1))
        self.conv(name + ".1.proj", c, c, (1, 1), 0.1)
        self.residual(name + ".2", c, c)


def make_vae(width, seed=1):
    m, w = Maker(seed), width
    m.conv("encoder.conv1", w, 3, (3, 3, 3))
    n = 0
    for stage, (a, b) in enumerate(((w, w), (w, 2 * w), (2 * w, 4 * w), (4 * w, 4 * w))):
        for i in range(2):
            m.residual(f"encoder.downsamples.{n}", b if i else a, b)
            n += 1
        if stage < 3:
            m.conv(f"encoder.downsamples.{n}.resample.1", b, b, (3, 3))
            if stage:
                m.conv(f"encoder.downsamples.{n}.time_conv", b, b, (3, 1, 1))
            n += 1
    m.middle("encoder.middle", 4 * w)
    m.fill("encoder.head.0.gamma", (4 * w, 1, 1, 1), 1)
    m.conv("encoder.head.2", 32, 4 * w, (3, 3, 3))
    m.conv("conv1", 32, 32, (1, 1, 1))
    m.conv("conv2", 16, 16, (1, 1, 1))
    m.conv("decoder.conv1", 4 * w, 16, (3, 3, 3))
    m.middle("decoder.middle", 4 * w)
    n = 0
    for stage, (a, b) in enumerate(((4 * w, 4 * w), (2 * w, 4 * w), (2 * w, 2 * w), (w, w))):
        for i in range(3):
            m.residual(f"decoder.upsamples.{n}", b if i else a, b)
            n += 1
        if stage < 3:
            m.conv(f"decoder.upsamples.{n}.resample.1", b // 2, b, (3, 3))
            if stage < 2:
                m.conv(f"decoder.upsamples.{n}.time_conv", 2 * b, b, (3, 1, 1))
            n += 1
    m.fill("decoder.head.0.gamma", (w, 1, 1, 1), 1)
    m.conv("decoder.head.2", 3, w, (3, 3, 3), 0.5)
    open_trunk(m.weights, m.g)
    return m.weights


def open_trunk(weights, g):
    """Start from a trunk that carries colours through: whatever is not a residual branch is near an
    average (down), a repetition (up) or an identity; the rest is small noise. Without this, colours
    other than light and dark are found only after thousands of steps.
    """
    for name, w in weights.items():
        if not name.endswith(".weight") or ".residual." in name:
            continue
        if name.endswith("time_conv.weight"):
            w.mul_(0.1)
            hold_last_frame(w)
        elif name.endswith("shortcut.weight"):  # what is there goes on, new channels are mixtures
            n = min(w.shape[:2])
            w[:n] = 0
            w[:n, :n, 0, 0, 0] = torch.eye(n)
        elif name.endswith("resample.1.weight"):
            w.mul_(0.2)
            n = w.shape[0]
            if name.startswith("encoder"):
                w[:, :n, :2, :2] += torch.eye(n)[:, :, None, None] / 4
            else:
                w[:, :n, 1, 1] += torch.eye(n) * 0.7
                w[:, n : 2 * n, 1, 1] += torch.eye(n) * 0.7
        elif name in ("encoder.conv1.weight", "encoder.head.2.weight", "decoder.conv1.weight"):
            w.mul_(0.2)
            taps = w[:, :, -1, 1, 1]
            taps += torch.nn.init.orthogonal_(torch.empty(taps.shape), generator=g)
        elif name in ("conv1.weight", "conv2.weight"):
            w[:, :, 0, 0, 0] = torch.eye(w.shape[0])
    weights["encoder.conv1.bias"][
        -1
    ] = 1.0  # a constant, against which a norm keeps the size of colours


def hold_last_frame(w):
    """Add "the last frame, for each of the frames that come out" to the weight of a time_conv."""
    c = w.shape[1]
    for half in range(w.shape[0] // c):
        w[half * c : (half + 1) * c, :, -1, 0, 0] += torch.eye(c)


def inflate(weights, seed=1):
    """Turn weights trained on single pictures into a video autoencoder that holds the last picture
    of each four.
    """
    g = torch.Generator().manual_seed(seed)
    for name, w in weights.items():
        if name.endswith("time_conv.weight"):
            w.zero_()
            hold_last_frame(w)
        elif name.endswith("time_conv.bias"):
            w.zero_()
        elif w.ndim == 5 and w.shape[2] == 3:
            older = w[:, :, :-1]
            older.copy_(torch.randn(older.shape, generator=g) * w[:, :, -1:].std() * 0.05)


def make_transformer(dim, layers, ffn, text_dim, freq_dim, seed=2):
    m = Maker(seed)
    m.normal("patch_embedding.weight", (dim, 16, 1, 2, 2), 0.125)
    m.fill("patch_embedding.bias", (dim,), 0)
    m.linear("text_embedding.0", dim, text_dim)
    m.linear("text_embedding.2", dim, dim)
    m.linear("time_embedding.0", dim, freq_dim)
    m.linear("time_embedding.2", dim, dim)
    m.linear("time_projection.1", 6 * dim, dim, 0.02)
    gate = torch.zeros(1, 6, dim)
    gate[:, 2], gate[:, 5] = 0.2, 0.2  # a small start rather than exact zero
    for i in range(layers):
        b = f"blocks.{i}"
        m.weights[b + ".modulation"] = gate.clone()
        for kind, gain in (("self_attn", 1.0), ("cross_attn", 0.2)):
            for part in "qkv":
                m.linear(f"{b}.{kind}.{part}", dim, dim)
            m.linear(f"{b}.{kind}.o", dim, dim, gain)
            m.fill(f"{b}.{kind}.norm_q.weight", (dim,), 1)
            m.fill(f"{b}.{kind}.norm_k.weight", (dim,), 1)
        m.fill(b + ".norm3.weight", (dim,), 1)
        m.fill(b + ".norm3.bias", (dim,), 0)
        m.linear(b + ".ffn.0", ffn, dim)
        m.linear(b + ".ffn.2", dim, ffn)
    m.fill("head.modulation", (1, 2, dim), 0)
    m.linear("head.head", 64, dim, 0.05)
    return m.weights


def make_text_encoder(vocabulary, dim, layers, heads, ffn, seed=3):
    m = Maker(seed)
    m.normal("token_embedding.weight", (vocabulary, dim), 1)
    for i in range(layers):
        b = f"blocks.{i}"
        for norm in ("norm1", "norm2"):
            m.fill(f"{b}.{norm}.weight", (dim,), 1)
        m.linear(b + ".attn.q", dim, dim, 1 / math.sqrt(dim / heads), bias=False)
        for part in "kv":
            m.linear(f"{b}.attn.{part}", dim, dim, bias=False)
        m.linear(b + ".attn.o", dim, dim, 0.5, bias=False)
        m.linear(b + ".ffn.gate.0", ffn, dim, bias=False)
        m.linear(b + ".ffn.fc1", ffn, dim, bias=False)
        m.linear(b + ".ffn.fc2", dim, ffn, 0.5, bias=False)
        m.normal(b + ".pos_embedding.embedding.weight", (32, heads), 0.1)
    m.fill("norm.weight", (dim,), 1)
    return m.weights
