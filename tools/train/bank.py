"""The bank: clips of the world encoded once, with their captions' tokens; later stages train from
it alone.

Also what the latents are scaled by: they are whitened with their full covariance, so that what is
small but moves (the object) weighs as much in the flow's loss as what is large and stands still
(the ground). See `fold` in export.py for how the released form carries that.
"""

import random
import time

import torch

from . import captions, flow, run, world
from .nets.vae import Vae
from .tokens import Tokenizer
from .vae_stage import HELD_OUT

SHARD = 25  # clips of a file
FIRST = 2 * 10**8  # seed of the first clip
HELD_OUT_CLIPS = 25
SCALE_CLIPS = 100  # so many make the whitening
FLOOR = 1e-3  # of the largest variance: what is below is left small


def shards(plan):
    """(file name, seeds, held out) of every shard."""

    def split(first, count):
        return [range(i, min(i + SHARD, first + count)) for i in range(first, first + count, SHARD)]

    held = min(HELD_OUT_CLIPS, plan.bank_clips)
    return [(f"held-{n:03d}.pt", s, True) for n, s in enumerate(split(HELD_OUT + 1000, held))] + [
        (f"train-{n:03d}.pt", s, False) for n, s in enumerate(split(FIRST, plan.bank_clips))
    ]


@torch.no_grad()
def encode(vae, plan, seed, device, held_out):
    """Latents [frames,16,h,w] of a clip, as the encoder gives them."""
    count = 4 * plan.bank_frames - 3
    x, _, _ = world.clips(
        [seed], count, plan.height, plan.width, device=device, held_out=held_out, simple=plan.simple
    )
    with flow.autocast(x):
        return vae.encode(x)[0][0].transpose(0, 1).float()


def train(plan, device, minutes):
    """Encode what is missing of the bank. With a time limit it may end up smaller."""
    path, tokenizer, stop, began = (
        run.folder(plan, "bank"),
        Tokenizer(plan),
        run.Stop(),
        time.time(),
    )
    weights = {k: w.to(device) for k, w in run.trained(plan, "vae-video")["vae"].items()}
    vae = Vae(weights)
    for name, seeds, held_out in shards(plan):
        if (path / name).exists():
            continue
        latents, texts = [], []
        for seed in seeds:
            latents.append(encode(vae, plan, seed, device, held_out).to("cpu", torch.bfloat16))
            texts.append(captions.of_seed(seed, held_out=held_out, simple=plan.simple))
            if stop:
                return False
        content = dict(latents=torch.stack(latents), ids=tokenizer.ids(texts), texts=texts)
        run.save_file(path / name, lambda p: torch.save(content, p))
        print(f"bank {name}: {time.time() - began:.0f} s", flush=True)
        write_scale(plan)
        if minutes and time.time() - began > 60 * minutes and (path / "scale.pt").exists():
            break
    run.save_file(path / "finished.json", lambda p: p.write_text("{}\n"))
    return True


def load(path):
    return torch.load(path, weights_only=True)


def write_scale(plan):
    """Once there are clips enough, and then no more: a bank that grows later keeps its scale."""
    path = run.folder(plan, "bank")
    there = [path / name for name, _, held in shards(plan) if not held and (path / name).exists()]
    if len(there) * SHARD >= min(SCALE_CLIPS, plan.bank_clips) and not (path / "scale.pt").exists():
        scale = whiten([load(file)["latents"] for file in there])
        run.save_file(path / "scale.pt", lambda p: torch.save(scale, p))


def whiten(latents):
    """Mean [16] and matrix [16,16] that make the latents nearly white: z = matrix @ (latent -
    mean).
    """
    z = torch.cat(
        [part.float().permute(0, 1, 3, 4, 2).reshape(-1, 16)[::7] for part in latents]
    ).double()
    mean = z.mean(0)
    covariance = (z - mean).T @ (z - mean) / len(z)
    values, vectors = torch.linalg.eigh(covariance)
    matrix = vectors @ torch.diag((values + FLOOR * values.max()).rsqrt()) @ vectors.T
    return dict(mean=mean.float(), matrix=matrix.float())


class Scale:
    """From the autoencoder's latents [...,16,h,w] to the transformer's and back."""

    def __init__(self, plan, device="cpu"):
        stored = load(run.folder(plan, "bank") / "scale.pt")
        self.mean, self.matrix = stored["mean"].to(device), stored["matrix"].to(device)
        self.inverse = torch.linalg.inv(self.matrix.double()).float()

    def to_model(self, z):
        return torch.einsum("ij,...jhw->...ihw", self.matrix, z - self.mean[:, None, None])

    def to_vae(self, z):
        return torch.einsum("ij,...jhw->...ihw", self.inverse, z) + self.mean[:, None, None]


class Bank:
    """Whitened latents [n,frames,16,h,w] (bfloat16) and token ids [n,text_len] of all clips."""

    def __init__(self, plan, device="cpu", held_out=False):
        scale, parts = Scale(plan), []
        path = run.folder(plan, "bank")
        for name, _, held in shards(plan):
            if held == held_out and (path / name).exists():
                parts.append(load(path / name))
        self.latents = torch.cat(
            [scale.to_model(p["latents"].float()).bfloat16() for p in parts]
        ).to(device)
        self.ids = torch.cat([p["ids"] for p in parts]).to(device)
        self.texts = [t for p in parts for t in p["texts"]]

    def draw(self, count, frames, block):
        """Windows of so many frames and their ids; half at the clip's start, the others from any
        later block on.
        """
        n, length = self.latents.shape[:2]
        pick = torch.randint(n, (count,))
        last = (length - frames) // block
        starts = (
            torch.where(
                torch.rand(count) < 0.5, torch.zeros(count), torch.rand(count) * (last + 1)
            ).long()
            * block
        )
        z = torch.stack([self.latents[p, s : s + frames] for p, s in zip(pick, starts)])
        return z.float(), self.ids[pick.to(self.ids.device)]


def empty_share(ids, empty, share):
    """Replace some captions by the empty one: what guidance compares with."""
    gone = torch.rand(len(ids), 1).to(ids.device) < share
    return torch.where(gone, empty.to(ids.device).expand_as(ids), ids)


def pick_captions(count, simple):
    """Captions to look at, the same always, of scenes that were held out."""
    rng = random.Random(3)
    return [
        captions.of_seed(HELD_OUT + 5000 + rng.randrange(10**6), held_out=True, simple=simple)
        for _ in range(count)
    ]
