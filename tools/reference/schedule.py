"""Noise levels of flow matching.

A latent at noise level sigma is x = (1 - sigma) * x0 + sigma * eps, and the
network predicts the flow v = eps - x0. Timestep t = 1000 * sigma.
"""

from dataclasses import dataclass

import torch

TABLE = 1000


@dataclass(frozen=True)
class Schedule:
    timesteps: torch.Tensor  # [levels], float32
    sigmas: torch.Tensor  # [levels], float32

    @property
    def levels(self):
        return len(self.timesteps)


def make_schedule(steps, warp, shift):
    """Levels of the denoising steps (numbers up to 1000, falling).

    warp: a step d stands for the table's timestep at index 1000 - d, and step 0
    for the zero after the table. Without it a step is the timestep itself, and
    its sigma is that of the table's nearest timestep. The table is float32 in every
    operation: a last bit of a timestep shows in the latents.
    """
    base = torch.arange(TABLE, 0, -1, dtype=torch.float32) / TABLE
    sigma = shift * base / (1 + (shift - 1) * base)
    timestep = sigma * TABLE

    if warp:
        with_zero = torch.cat([timestep, torch.zeros(1)])
        timesteps = with_zero[TABLE - torch.tensor(steps, dtype=torch.int64)]
    else:
        timesteps = torch.tensor(steps, dtype=torch.float32)
    nearest = (timestep[None] - timesteps[:, None]).abs().argmin(dim=1)
    return Schedule(timesteps, sigma[nearest])


def to_x0(noisy, flow, sigma):
    """x0 that a flow implies, taken in float64. sigma broadcasts."""
    return (noisy.double() - sigma.double() * flow.double()).to(noisy.dtype)


def renoise(x0, eps, sigma):
    """x0 at noise level sigma."""
    return ((1 - sigma.double()) * x0.double() + sigma.double() * eps.double()).to(x0.dtype)
