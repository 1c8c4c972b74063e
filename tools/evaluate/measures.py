"""Measures of a piece of a clip that need no pretrained network.

Pictures are [n,3,h,w] in -1..1, latents [frames,16,h,w].
"""

import torch
import torch.nn.functional as F

from ..train import captions, detector

LUMA = torch.tensor((0.2126, 0.7152, 0.0722))[None, :, None, None]
LAPLACE = torch.tensor(((0.0, 1, 0), (1, -4, 1), (0, 1, 0)))[None, None]


def look(pictures):
    """Brightness, contrast, saturation and sharpness: means over the pictures, in 0..1 but for the
    last.
    """
    rgb = pictures * 0.5 + 0.5
    luma = (rgb * LUMA).sum(1, keepdim=True)
    return dict(
        brightness=luma.mean(),
        contrast=luma.std((1, 2, 3)).mean(),
        saturation=(rgb.max(1).values - rgb.min(1).values).mean(),
        sharpness=F.conv2d(luma, LAPLACE).var((1, 2, 3)).mean(),
    )


def ground_colour(pictures):
    """The median colour in 0..1: of the ground, which is most of each picture."""
    rgb = (pictures * 0.5 + 0.5).transpose(0, 1).flatten(1).median(1).values
    return dict(zip(("ground_red", "ground_green", "ground_blue"), rgb))


def of_latents(latents):
    return dict(latent_mean=latents.mean(), latent_deviation=latents.std())


def flicker(pictures, border):
    """How much larger the change is where a block begins than elsewhere. border: of each picture
    but the first, whether a block begins with it.
    """
    change = (pictures[1:] - pictures[:-1]).abs().mean((1, 2, 3))
    return dict(flicker=change[border].mean() / change[~border].mean().clamp(min=1e-6))


def shown(pictures, caption, fps):
    """What the detector finds, held against the caption: shares of pictures with its colour, its
    ground and any object; and the object's way in short sides of the picture a second.
    """
    said, side = captions.parse(caption), min(pictures.shape[-2:])
    found = [detector.detect(p * 0.5 + 0.5) for p in pictures]
    steps = [
        ((a["x"] - b["x"]) ** 2 + (a["y"] - b["y"]) ** 2) ** 0.5
        for a, b in zip(found, found[1:])
        if a["colour"] and a["colour"] == b["colour"]
    ]
    share = {
        what: sum(f[what] == said[what] for f in found) / len(found)
        for what in ("colour", "ground")
    }
    return dict(
        **share,
        object=sum(f["colour"] is not None for f in found) / len(found),
        motion=sum(steps) / max(len(steps), 1) * fps / side,
    )


def drift(values, scale=None):
    """Of a measure at the marks, in order: the change from the first mark to the last, and VDE, the
    changes since the first mark weighted towards the early ones (N - i + 1), as a mean; relative to
    the first value, or to scale.
    """
    n, scale = len(values), scale or max(abs(values[0]), 1e-6)
    changes = [abs(v - values[0]) / scale for v in values[1:]]
    weights = [n - i + 1 for i in range(2, n + 1)]
    return dict(last=changes[-1], vde=sum(w * c for w, c in zip(weights, changes)) / sum(weights))
