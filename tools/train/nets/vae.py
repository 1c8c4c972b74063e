"""The autoencoder: whole clips at once, the same sums as the streaming form."""

import torch
import torch.nn.functional as F


class Vae:
    """Clips [B,3,1+4n,H,W] in -1..1. still: single pictures, for which only the last tap of a
    causal kernel acts.
    """

    def __init__(self, weights, still=False):
        self.w, self.still = weights, still

    def conv(self, name, x, **options):
        w, b = self.w[name + ".weight"], self.w[name + ".bias"]
        d, h = w.shape[2], w.shape[3]
        if d > 1 and self.still:  # the older taps see zeros
            w, d = w[:, :, -1:], 1
        if d > 1:
            x = F.pad(x, (0, 0, 0, 0, d - 1, 0))
        w = w.contiguous(memory_format=torch.channels_last_3d)
        return F.conv3d(x, w, b, padding=(0, h // 2, h // 2), **options)

    def norm(self, name, x):
        g = self.w[name + ".gamma"].view(1, -1, 1, 1, 1) * x.shape[1] ** 0.5
        n = torch.linalg.vector_norm(x, dim=1, keepdim=True, dtype=torch.float32).clamp_min(1e-6)
        return x * (1 / n).to(x.dtype) * g.to(x.dtype)

    def residual(self, name, x):
        y = self.conv(name + ".residual.2", F.silu(self.norm(name + ".residual.0", x)))
        y = self.conv(name + ".residual.6", F.silu(self.norm(name + ".residual.3", y)))
        return y + (self.conv(name + ".shortcut", x) if name + ".shortcut.weight" in self.w else x)

    def attention(self, name, x):
        b, c, t, h, w = x.shape
        y = self.norm(name + ".norm", x)
        y = y.permute(0, 2, 3, 4, 1).reshape(b * t, h * w, c)
        qkv = F.linear(
            y, self.w[name + ".to_qkv.weight"][:, :, 0, 0], self.w[name + ".to_qkv.bias"]
        )
        q, k, v = qkv.chunk(3, dim=2)
        y = F.scaled_dot_product_attention(q[:, None], k[:, None], v[:, None])[:, 0]
        y = F.linear(y, self.w[name + ".proj.weight"][:, :, 0, 0], self.w[name + ".proj.bias"])
        return x + y.view(b, t, h, w, c).permute(0, 4, 1, 2, 3)

    def middle(self, name, x):
        x = self.attention(name + ".1", self.residual(name + ".0", x))
        return self.residual(name + ".2", x)

    def spatial(self, name, x, down):
        w = self.w[name + ".resample.1.weight"][:, :, None]
        b = self.w[name + ".resample.1.bias"]
        if down:
            return F.conv3d(F.pad(x, (0, 1, 0, 1)), w, b, stride=(1, 2, 2))
        x = F.interpolate(x, scale_factor=(1, 2, 2), mode="nearest")
        return F.conv3d(x, w, b, padding=(0, 1, 1))

    def down(self, name, x):
        x = self.spatial(name, x, True)
        if name + ".time_conv.weight" in self.w and x.shape[2] > 1:
            y = F.conv3d(
                x,
                self.w[name + ".time_conv.weight"],
                self.w[name + ".time_conv.bias"],
                stride=(2, 1, 1),
            )
            x = torch.cat([x[:, :, :1], y], dim=2)
        return x

    def up(self, name, x):
        if name + ".time_conv.weight" in self.w and x.shape[2] > 1:
            rest = F.pad(x[:, :, 1:], (0, 0, 0, 0, 2, 0))
            y = F.conv3d(rest, self.w[name + ".time_conv.weight"], self.w[name + ".time_conv.bias"])
            y = torch.stack(y.chunk(2, dim=1), dim=3).flatten(2, 3)
            x = torch.cat([x[:, :, :1], y], dim=2)
        return self.spatial(name, x, False)

    def samples(self, name, x, step):
        i = 0
        while True:
            part = f"{name}.{i}"
            if part + ".resample.1.weight" in self.w:
                x = step(part, x)
            elif part + ".residual.2.weight" in self.w:
                x = self.residual(part, x)
            else:
                return x
            i += 1

    def encode(self, x):
        """-> mean, log variance [B,16,1+n,h,w], not yet normalised."""
        x = x.contiguous(memory_format=torch.channels_last_3d)
        x = self.samples("encoder.downsamples", self.conv("encoder.conv1", x), self.down)
        x = self.middle("encoder.middle", x)
        x = self.conv("encoder.head.2", F.silu(self.norm("encoder.head.0", x)))
        return self.conv("conv1", x).chunk(2, dim=1)

    def decode(self, z):
        x = self.conv("decoder.conv1", self.conv("conv2", z))
        x = self.middle("decoder.middle", x)
        x = self.samples("decoder.upsamples", x, self.up)
        return self.conv("decoder.head.2", F.silu(self.norm("decoder.head.0", x)))
