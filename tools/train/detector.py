"""What pictures of the world show: ground, light, and the object's colour, place and size.

Works from the world's palette alone. A picture's ground and light are the pair that explains most
of its pixels; what the pair does not explain is the object, if it is near one of the colours at
some brightness.
"""

import torch

from . import captions, world

NEAR = 0.09  # largest distance in RGB from what explains a pixel
FAR = 0.16  # a pixel farther than this from the ground is no ground
LEAST = 0.012  # share of the picture that an object has at least


def from_segment(pixels, one, two):
    """Distance of pixels [...,3] from the segment between two colours [3]."""
    along = two - one
    t = ((pixels - one) @ along / along.square().sum()).clamp(0, 1)
    return (pixels - one - t[..., None] * along).norm(dim=-1)


def detect(picture):
    """A dict for a picture [3,h,w] in 0..1: ground, light, colour (None if there is no object), x,
    y, share.
    """
    pixels = picture.float().cpu().permute(1, 2, 0)
    light = {name: torch.tensor(v) for name, v in world.LIGHTS.items()}
    grounds = {}
    for ground, shades in world.GROUNDS.items():
        one, two = (torch.tensor(s) for s in shades)
        for name, factor in light.items():
            grounds[ground, name] = from_segment(pixels, one * factor, two * factor)
    (ground, name), off = max(grounds.items(), key=lambda g: (g[1] < NEAR).float().mean())
    colours = list(world.COLOURS)
    rgb = [torch.tensor(world.COLOURS[c]) * light[name] for c in colours]
    near = torch.stack([from_segment(pixels, 0.45 * c, 1.1 * c) for c in rgb])
    distance, which = near.min(0)
    which = torch.where((distance < FAR) & (off > FAR), which, len(colours))
    votes = torch.bincount(which.flatten(), minlength=len(colours) + 1)[: len(colours)]
    best = int(votes.argmax())
    share = float(votes[best]) / which.numel()
    found = dict(ground=ground, light=name, colour=None, x=None, y=None, share=share)
    if share >= LEAST:
        y, x = (which == best).nonzero().float().mean(0).tolist()
        found.update(colour=colours[best], x=x + 0.5, y=y + 0.5)
    return found


def agreement(pictures, caption):
    """Shares of pictures [n,3,h,w] in -1..1 that show the caption's colour and ground."""
    said = captions.parse(caption)
    found = [detect(p * 0.5 + 0.5) for p in pictures]
    return {
        what: sum(f[what] == said[what] for f in found) / len(found)
        for what in ("colour", "ground")
    }
