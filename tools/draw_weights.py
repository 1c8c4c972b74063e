"""Random weights under the checkpoints' names, of any size."""

import torch


def model(dim, heads, *, layers=1, ffn_dim=None, freq_dim=32, text_dim=16, text_len=8, store="bf16"):
    return dict(dim=dim, num_heads=heads, num_layers=layers, ffn_dim=ffn_dim or dim + 16,
                freq_dim=freq_dim, text_dim=text_dim, text_len=text_len, store=store)


def draw_transformer(m, g):
    """Random weights under the checkpoint's names."""
    dim = m["dim"]
    w = {}

    def normal(name, *shape, std=1.0, mean=0.0):
        w[name] = mean + std * torch.randn(*shape, generator=g)

    def linear(name, out, into, gain=1.0):
        normal(name + ".weight", out, into, std=gain * into**-0.5)
        normal(name + ".bias", out, std=0.1)

    normal("patch_embedding.weight", dim, 16, 1, 2, 2, std=0.125)
    normal("patch_embedding.bias", dim, std=0.1)
    linear("text_embedding.0", dim, m["text_dim"])
    linear("text_embedding.2", dim, dim)
    linear("time_embedding.0", dim, m["freq_dim"])
    linear("time_embedding.2", dim, dim)
    linear("time_projection.1", 6 * dim, dim, gain=0.5)
    for i in range(m["num_layers"]):
        b = f"blocks.{i}."
        for a in (b + "self_attn", b + "cross_attn"):
            for part in "qkvo":
                linear(f"{a}.{part}", dim, dim)
            normal(a + ".norm_q.weight", dim, mean=2.5, std=0.3)
            normal(a + ".norm_k.weight", dim, mean=1.0, std=0.3)
        normal(b + "norm3.weight", dim, mean=1.0, std=0.3)
        normal(b + "norm3.bias", dim, std=0.3)
        linear(b + "ffn.0", m["ffn_dim"], dim)
        linear(b + "ffn.2", dim, m["ffn_dim"])
        normal(b + "modulation", 1, 6, dim, std=0.5)
    normal("head.modulation", 1, 2, dim, std=0.5)
    linear("head.head", 64, dim)
    return w


def draw_vae(base, g):
    """Random weights under the checkpoint's names and in its order."""
    w = {}

    def gamma(name, channels, ndim=4):
        shape = (channels,) + (1,) * (ndim - 1)
        w[name + ".gamma"] = 1 + 0.2 * torch.randn(shape, generator=g)

    def conv(name, out, into, *kernel, gain=1.0):
        weight = torch.randn(out, into, *kernel, generator=g)
        w[name + ".weight"] = gain * weight / weight[0].numel() ** 0.5
        w[name + ".bias"] = gain * 0.1 * torch.randn(out, generator=g)

    def residual(name, into, out):
        gamma(name + ".residual.0", into)
        conv(name + ".residual.2", out, into, 3, 3, 3)
        gamma(name + ".residual.3", out)
        conv(name + ".residual.6", out, out, 3, 3, 3)
        if into != out:
            conv(name + ".shortcut", out, into, 1, 1, 1)

    def resample(name, into, out, time):
        """time: channels of the convolution over frames, 0 for none."""
        conv(name + ".resample.1", out, into, 3, 3)
        if time:
            conv(name + ".time_conv", time, into, 3, 1, 1)

    def middle(name, channels):
        residual(name + ".0", channels, channels)
        gamma(name + ".1.norm", channels, ndim=3)
        conv(name + ".1.to_qkv", 3 * channels, channels, 1, 1)
        conv(name + ".1.proj", channels, channels, 1, 1)
        residual(name + ".2", channels, channels)

    def head(name, into, out, gain=1.0):
        gamma(name + ".0", into)
        conv(name + ".2", out, into, 3, 3, 3, gain=gain)

    b = base
    conv("encoder.conv1", b, 3, 3, 3, 3)
    for i, (into, out) in enumerate(((1, 1), (1, 1), (1, 1), (1, 2), (2, 2), (2, 2),
                                     (2, 4), (4, 4), (4, 4), (4, 4), (4, 4))):
        name = f"encoder.downsamples.{i}"
        if i in (2, 5, 8):
            resample(name, into * b, out * b, 0 if i == 2 else out * b)
        else:
            residual(name, into * b, out * b)
    middle("encoder.middle", 4 * b)
    head("encoder.head", 4 * b, 32)
    conv("conv1", 32, 32, 1, 1, 1)
    conv("conv2", 16, 16, 1, 1, 1)
    conv("decoder.conv1", 4 * b, 16, 3, 3, 3)
    middle("decoder.middle", 4 * b)
    for i, (into, out) in enumerate(((4, 4), (4, 4), (4, 4), (4, 2), (2, 4), (4, 4), (4, 4),
                                     (4, 2), (2, 2), (2, 2), (2, 2), (2, 1), (1, 1), (1, 1),
                                     (1, 1))):
        name = f"decoder.upsamples.{i}"
        if i in (3, 7, 11):
            resample(name, into * b, out * b, 0 if i == 11 else 2 * into * b)
        else:
            residual(name, into * b, out * b)
    head("decoder.head", b, 3, gain=0.4)  # few pictures beyond -1..1, where they are cut
    return w
