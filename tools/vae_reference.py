#!/usr/bin/env python3
"""Wan2.1's autoencoder in float64, whole clips at once, and golden cases made with it.

    vae_reference.py check CASE     compare with a recorded case
    vae_reference.py make CASE      random weights (bf16), inputs, and what they give

Needs torch and safetensors. Frames are [t, c, h, w]; a clip's first frame is x[0].
"""
import json
import pathlib
import sys

import torch
import torch.nn.functional as F
from safetensors.torch import load_file, save_file

Z, FRAMES, HEIGHT, WIDTH, BASE, SEED = 16, 4, 5, 3, 4, 20250922
MEAN = torch.tensor([-0.7571, -0.7089, -0.9113, 0.1075, -0.1745, 0.9653, -0.1517, 1.5508,
                     0.4134, -0.0715, 0.5517, -0.3632, -0.1922, -0.9497, 0.2503, -0.2921])
STD = torch.tensor([2.8184, 1.4541, 2.3275, 2.6558, 1.2196, 1.7708, 2.6052, 2.0743,
                    3.2687, 2.1526, 2.8652, 1.5579, 1.6382, 1.1253, 2.8251, 1.9160])
MEAN, STD = (v.double().view(1, Z, 1, 1) for v in (MEAN, STD))


class Vae:
    def __init__(self, weights):
        self.w = {name: t.double() for name, t in weights.items()}

    def conv(self, name, x, past=2, stride=1, pad=1):
        """Causal in time; the halves of a 2C time_conv are left to the caller."""
        x = torch.cat([x.new_zeros(past, *x.shape[1:]), x]).permute(1, 0, 2, 3)[None]
        y = F.conv3d(x, self.w[name + ".weight"], self.w[name + ".bias"],
                     stride=(stride, 1, 1), padding=(0, pad, pad))
        return y[0].permute(1, 0, 2, 3)

    def conv2(self, name, x, **how):
        return F.conv2d(x, self.w[name + ".weight"], self.w[name + ".bias"], **how)

    def point(self, name, x):
        return self.conv(name, x, past=0, pad=0)

    def norm(self, name, x):
        gamma = self.w[name + ".gamma"].view(1, -1, 1, 1)
        return F.normalize(x, dim=1) * x.shape[1] ** 0.5 * gamma

    def norm_conv(self, norm, conv, x):
        return self.conv(conv, F.silu(self.norm(norm, x)))

    def res(self, name, x):
        short = self.point(name + ".shortcut", x) if name + ".shortcut.weight" in self.w else x
        y = self.norm_conv(name + ".residual.0", name + ".residual.2", x)
        return short + self.norm_conv(name + ".residual.3", name + ".residual.6", y)

    def attention(self, name, x):
        t, c, h, w = x.shape
        qkv = self.conv2(name + ".to_qkv", self.norm(name + ".norm", x))
        q, k, v = qkv.reshape(t, 3 * c, h * w).transpose(1, 2).chunk(3, -1)
        y = torch.softmax(q @ k.transpose(1, 2) / c**0.5, -1) @ v
        return x + self.conv2(name + ".proj", y.transpose(1, 2).reshape(t, c, h, w))

    def up(self, name, x):
        if name + ".time_conv.weight" in self.w:
            y = self.conv(name + ".time_conv", x[1:], pad=0)
            a, b = y.chunk(2, 1)
            x = torch.cat([x[:1], torch.stack([a, b], 1).reshape(-1, *x.shape[1:])])
        x = x.repeat_interleave(2, 2).repeat_interleave(2, 3)
        return self.conv2(name + ".resample.1", x, padding=1)

    def down(self, name, x):
        x = self.conv2(name + ".resample.1", F.pad(x, (0, 1, 0, 1)), stride=2)
        if name + ".time_conv.weight" in self.w:
            x = torch.cat([x[:1], self.conv(name + ".time_conv", x, past=0, stride=2, pad=0)])
        return x

    def middle(self, name, x):
        return self.res(name + ".2", self.attention(name + ".1", self.res(name + ".0", x)))

    def decode(self, latents):
        x = self.conv("decoder.conv1", self.point("conv2", latents.double() * STD + MEAN))
        x = self.middle("decoder.middle", x)
        for i in range(15):
            x = (self.up if i in (3, 7, 11) else self.res)(f"decoder.upsamples.{i}", x)
        return self.norm_conv("decoder.head.0", "decoder.head.2", x).clamp(-1, 1).float()

    def encode(self, pixels):
        x = self.conv("encoder.conv1", pixels.double())
        for i in range(11):
            x = (self.down if i in (2, 5, 8) else self.res)(f"encoder.downsamples.{i}", x)
        x = self.middle("encoder.middle", x)
        x = self.norm_conv("encoder.head.0", "encoder.head.2", x)
        return ((self.point("conv1", x)[:, :Z] - MEAN) / STD).float()


def shapes(b):
    """Every tensor of the checkpoint, in its order."""
    out = {}

    def conv(name, *dim):
        out[name + ".weight"], out[name + ".bias"] = dim, (dim[0],)

    def res(name, i, o):
        out[name + ".residual.0.gamma"] = (i, 1, 1, 1)
        conv(name + ".residual.2", o, i, 3, 3, 3)
        out[name + ".residual.3.gamma"] = (o, 1, 1, 1)
        conv(name + ".residual.6", o, o, 3, 3, 3)
        if i != o:
            conv(name + ".shortcut", o, i, 1, 1, 1)

    def scale(name, i, o, time):
        conv(name + ".resample.1", o, i, 3, 3)
        if time:
            conv(name + ".time_conv", time, i, 3, 1, 1)

    def middle(name):
        res(name + ".0", 4 * b, 4 * b)
        out[name + ".1.norm.gamma"] = (4 * b, 1, 1)
        conv(name + ".1.to_qkv", 12 * b, 4 * b, 1, 1)
        conv(name + ".1.proj", 4 * b, 4 * b, 1, 1)
        res(name + ".2", 4 * b, 4 * b)

    def head(name, i, o):
        out[name + ".0.gamma"] = (i, 1, 1, 1)
        conv(name + ".2", o, i, 3, 3, 3)

    conv("encoder.conv1", b, 3, 3, 3, 3)
    for i, (ci, co) in enumerate(((1, 1), (1, 1), (1, 1), (1, 2), (2, 2), (2, 2),
                                  (2, 4), (4, 4), (4, 4), (4, 4), (4, 4))):
        name = f"encoder.downsamples.{i}"
        if i in (2, 5, 8):
            scale(name, ci * b, co * b, 0 if i == 2 else co * b)
        else:
            res(name, ci * b, co * b)
    middle("encoder.middle")
    head("encoder.head", 4 * b, 2 * Z)
    conv("conv1", 2 * Z, 2 * Z, 1, 1, 1)
    conv("conv2", Z, Z, 1, 1, 1)
    conv("decoder.conv1", 4 * b, Z, 3, 3, 3)
    middle("decoder.middle")
    for i, (ci, co) in enumerate(((4, 4), (4, 4), (4, 4), (4, 2), (2, 4), (4, 4), (4, 4), (4, 2),
                                  (2, 2), (2, 2), (2, 2), (2, 1), (1, 1), (1, 1), (1, 1))):
        name = f"decoder.upsamples.{i}"
        if i in (3, 7, 11):
            scale(name, ci * b, co * b, 0 if i == 11 else 2 * ci * b)
        else:
            res(name, ci * b, co * b)
    head("decoder.head", b, 3)
    return out


def random_weights(base):
    made = {}
    for name, dim in shapes(base).items():
        t = torch.randn(dim)
        if name.endswith("gamma"):
            t = 1 + 0.2 * t
        elif name.endswith("bias"):
            t = 0.1 * t
        else:
            t = t / t[0].numel() ** 0.5
        if name.startswith("decoder.head.2"):
            t = 0.4 * t
        made[name] = t.bfloat16()
    return made


def make(case):
    torch.manual_seed(SEED)
    weights = random_weights(BASE)
    latents = torch.randn(FRAMES, Z, HEIGHT, WIDTH)
    pixels = torch.rand(1 + 4 * (FRAMES - 1), 3, 8 * HEIGHT, 8 * WIDTH) * 2 - 1
    vae = Vae(weights)
    (case / "model").mkdir(parents=True, exist_ok=True)
    torch.save(weights, case / "model" / "Wan2.1_VAE.pth")
    save_file({"latents": latents, "pixels": pixels}, case / "inputs.safetensors")
    expected = {"decoded": vae.decode(latents), "encoded": vae.encode(pixels)}
    save_file({k: t.contiguous() for k, t in expected.items()}, case / "expected.safetensors")
    about = {"kind": "vae", "dim": BASE, "latent_frames": FRAMES, "latent_height": HEIGHT,
             "latent_width": WIDTH}
    (case / "case.json").write_text(json.dumps(about, indent=1) + "\n")


def check(case):
    vae = Vae(torch.load(case / "model" / "Wan2.1_VAE.pth", map_location="cpu"))
    given = load_file(case / "inputs.safetensors")
    want = load_file(case / "expected.safetensors")
    for name, got in (("decoded", vae.decode(given["latents"])),
                      ("encoded", vae.encode(given["pixels"]))):
        error = ((got - want[name]).norm() / want[name].norm()).item()
        print(f"{name} rel_l2 {error:.3g}")


if __name__ == "__main__":
    if len(sys.argv) != 3 or sys.argv[1] not in ("check", "make"):
        sys.exit(__doc__)
    with torch.no_grad():
        {"check": check, "make": make}[sys.argv[1]](pathlib.Path(sys.argv[2]))
