"""Flow matching: x = (1 - sigma) x0 + sigma eps; the network predicts the flow eps - x0."""

import torch

from . import precision


def shifted(u, shift):
    return shift * u / (1 + (shift - 1) * u)


def levels(plan):
    """Noise levels of the student's steps, noisiest first."""
    return [shifted(d / 1000, plan.shift) for d in plan.steps]


def per_frame(sigma):
    """[n,frames] -> broadcasts over latents [n,frames,16,h,w]."""
    return sigma[:, :, None, None, None]


def noised(x0, eps, sigma):
    s = per_frame(sigma)
    return (1 - s) * x0 + s * eps


def draw_levels(count, frames, block, shift):
    """[count,frames]: half of the clips at one level, half at one level a block with some blocks
    clean.

    The latter makes the teacher a sane model for windows whose blocks stand at different levels.
    """
    one = torch.rand(count, 1).expand(count, frames // block)
    each = torch.rand(count, frames // block)
    each = torch.where(torch.rand(each.shape) < 0.15, torch.zeros(()), each)
    u = torch.where(torch.rand(count, 1) < 0.5, each, one)
    return shifted(u, shift).repeat_interleave(block, 1)


def autocast(x):
    """bfloat16 where that is fast. Without the cache of cast weights: a copy made where there is no
    gradient would be used where there is one.
    """
    fast = precision.has_bfloat16(x.device)
    return torch.autocast(x.device.type, torch.bfloat16, enabled=fast, cache_enabled=False)


@torch.no_grad()
def guided(net, x, sigma, text, empty, guidance):
    """The flow with guidance. text, empty: keys and values of the caption and of the empty one
    (Transformer.text).
    """
    both = [(torch.cat([k, k0]), torch.cat([v, v0])) for (k, v), (k0, v0) in zip(text, empty)]
    with autocast(x):
        v, v0 = net(torch.cat([x, x]), torch.cat([sigma, sigma]) * 1000, both).float().chunk(2)
    return v0 + guidance * (v - v0)


@torch.no_grad()
def sample(net, noise, grid, text, empty, guidance, keep=()):
    """Euler steps down the noise levels of grid (the last is 0). keep: indices of the grid whose x
    is returned too.
    """
    x, kept = noise, []
    for i, (now, then) in enumerate(zip(grid, grid[1:])):
        if i in keep:
            kept.append(x)
        sigma = torch.full(x.shape[:2], float(now), device=x.device)
        x = x + (then - now) * guided(net, x, sigma, text, empty, guidance)
    return (x, kept) if keep else x
