"""A clip measured at its marks: three seconds before each are decoded, and those it begins with."""

import torch

from ..train import flow
from ..train.adopt import read
from ..train.export import DEVIATION, MEAN
from ..train.nets.vae import Vae
from . import measures
from .render import FPS

PIECE = 12  # latent frames measured: 3 s
LEAD = 3  # latent frames decoded before them, for the decoder's memory of time
BLOCK = 3


class Decoder:
    def __init__(self, path):
        self.vae = Vae(read(path))
        self.mean, self.deviation = (torch.tensor(c)[:, None, None] for c in (MEAN, DEVIATION))

    @torch.no_grad()
    def __call__(self, latents):
        """Pictures [1+4(n-1),3,h,w] in -1..1 of latents [n,16,h,w]."""
        z = latents * self.deviation + self.mean
        with flow.autocast(z):
            pictures = self.vae.decode(z[None].transpose(1, 2))[0]
        return pictures.float().clamp(-1, 1).transpose(0, 1)


def piece(latents, decode, end):
    """Latents before latent frame `end`, their pictures, and which pictures begin a block."""
    first = max(end - PIECE, LEAD)
    pictures = decode(latents[first - LEAD : first + PIECE])[1 + 4 * (LEAD - 1) :]
    frame = first + torch.arange(len(pictures)) // 4
    begins = (torch.arange(len(pictures)) % 4 == 0) & (frame % BLOCK == 0)
    return latents[first : first + PIECE], pictures, begins[1:]


def measure(latents, decode, caption, marks):
    """Every measure at the clip's beginning and at each mark (seconds): {mark: {measure: value}};
    and of each piece the picture in its middle, [marks,3,h,w].
    """
    out, shown = {}, []
    for mark in (0, *marks):
        z, pictures, begins = piece(latents, decode, min(mark * FPS // 4, len(latents)))
        values = {
            **measures.look(pictures),
            **measures.ground_colour(pictures),
            **measures.of_latents(z),
            **measures.flicker(pictures, begins),
            **measures.shown(pictures[::4], caption, FPS / 4),
        }
        out[mark] = {name: float(v) for name, v in values.items()}
        shown.append(pictures[len(pictures) // 2])
    return out, torch.stack(shown)
