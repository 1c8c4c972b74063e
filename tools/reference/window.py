"""Whole clips: the rolling window, and block by block.

B frames of a block, A frames of attention span, N blocks, W noise levels. A clip's
noise comes from the caller: `noise` [N*B,16,h,w], and renoise(block, level) the
eps [B,16,h,w] that takes a block to a level above 0.
"""

from dataclasses import dataclass

import torch

from . import schedule as levels
from . import transformer


@dataclass(frozen=True)
class Policy:
    window: str  # "rolling" or "block"
    frames_per_block: int
    attention_frames: int
    sink_blocks: int
    keep_sink: bool = True  # where a new prompt has the window run again

    @property
    def sink_frames(self):
        return self.sink_blocks * self.frames_per_block


def rolling_window_keys(policy, first, frames):
    """Clean keys that a window of `frames` frames from frame `first` on attends to
    besides itself: (frame, position) in order.

    The first block's keys (the sink) are moved to end where the recent ones begin.
    """
    if first == 0:
        return []
    sink, span = policy.sink_frames, policy.attention_frames
    count = max(0, min(span - frames - sink, first - sink))
    recent = range(first - count, first)
    return ([(f, first - count - sink + f) for f in range(sink)] + [(f, f) for f in recent])


def rolling_clean_keys(policy, first):
    """The same for the clean pass of the block that begins at frame `first`."""
    b, span = policy.frames_per_block, policy.attention_frames
    block = first // b
    return [(f, f) for f in range(max(0, block - span // b + 1) * b, first)]


def block_keys(policy, first, begin=0):
    """The same for any pass of one block, block by block: the whole history while it
    and the block fit the span; then the sink, which begins at frame `begin`, at its own
    place and the latest frames."""
    end, span, sink = first + policy.frames_per_block, policy.attention_frames, policy.sink_frames
    if end <= span:
        return [(f, f) for f in range(first)]
    return ([(f, f) for f in range(begin, begin + sink)] +
            [(f, f) for f in range(end - (span - sink), first)])


class Clip:
    """A clip under way: the model, and the clean keys and values of all its frames,
    kept without RoPE: per layer [frames,T,heads,head_dim]. bases: of the heads' time
    frequencies, or one for all."""

    def __init__(self, weights, shape, prompt, height, width, bases=(transformer.ROPE_BASE,)):
        self.w, self.shape, self.bases = weights, shape, bases
        self.rows, self.columns = height // transformer.PATCH, width // transformer.PATCH
        self.clean = [([], []) for _ in range(shape.layers)]
        self.say(prompt)

    def say(self, prompt):
        self.text = transformer.embed_text(self.w, self.shape, prompt)

    def angles(self, positions):
        return torch.stack([transformer.rope_angles(self.shape.head_dim, positions, self.rows,
                                                    self.columns, base) for base in self.bases], 1)

    def forward(self, latent, timestep, first, keys, keep=False):
        """Flow of the frames from `first` on, which attend to the clean `keys`, then
        to themselves. keep: their own keys and values are the clean ones from now on."""
        own = self.angles(range(first, first + len(latent)))
        before = self.angles([position for _, position in keys]) if keys else None

        def attend(i, q, k, v):
            kept_k, kept_v = self.clean[i]
            roped, values = [transformer.rotate(k, own)], [v]
            if keys:
                past = torch.cat([kept_k[f] for f, _ in keys])
                roped.insert(0, transformer.rotate(past, before))
                values.insert(0, torch.cat([kept_v[f] for f, _ in keys]))
            if keep:
                assert len(kept_k) >= first
                kept_k[first:first + len(latent)] = k.chunk(len(latent))
                kept_v[first:first + len(latent)] = v.chunk(len(latent))
            return transformer.attention(transformer.rotate(q, own), torch.cat(roped),
                                         torch.cat(values))

        return transformer.forward(self.w, self.shape, latent, timestep, self.text, attend)

    def run_clean(self, x0, first, keys):
        self.forward(x0, torch.zeros(len(x0)), first, keys, keep=True)


def _per_frame(values, blocks, frames_per_block):
    return torch.stack([values[b] for b in blocks]).repeat_interleave(frames_per_block)


def run_rolling(clip, schedule, policy, noise, renoise, tap=None):
    """Latents [N*B,16,h,w]. tap(step, dict(noisy, timestep, flow, x0)) sees every window."""
    b, w = policy.frames_per_block, schedule.levels
    n = len(noise) // b
    noisy = list(noise.split(b))
    latents = []

    for step in range(n + w - 1):
        first, last = max(0, step - w + 1), min(n - 1, step)
        blocks = range(first, last + 1)
        x = torch.cat([noisy[i] for i in blocks])
        level = [step - i for i in blocks]
        timestep = _per_frame(schedule.timesteps, level, b)
        sigma = _per_frame(schedule.sigmas, level, b)[:, None, None, None]
        keys = rolling_window_keys(policy, first * b, len(x))
        flow = clip.forward(x, timestep, first * b, keys)
        x0 = levels.to_x0(x, flow, sigma)
        if tap:
            tap(step, dict(noisy=x, timestep=timestep, flow=flow, x0=x0))
        for i, k, clean in zip(blocks, level, x0.split(b)):
            if k < w - 1:
                noisy[i] = levels.renoise(clean, renoise(i, k + 1), schedule.sigmas[k + 1])
                continue
            latents.append(clean)
            clip.run_clean(clean, i * b, rolling_clean_keys(policy, i * b))
    return torch.cat(latents)


def run_again(clip, policy, latents, begin):
    """The clean passes of the frames that the next block looks back on, as one pass in which
    all see all; the sink's as well while it is next to them, else it stays as it is; not kept,
    the oldest of these are the sink from now on. Where the sink begins now."""
    first = len(latents) - policy.attention_frames
    if first <= 0 or not policy.keep_sink:
        first = begin = max(0, first)
        sink = []
    else:
        first += policy.sink_frames
        sink = [(f, f) for f in range(begin, begin + policy.sink_frames)]
    clip.run_clean(latents[first:], first, sink)
    return begin


def run_blocks(clip, schedule, policy, noise, renoise, switches=None):
    """Latents [N*B,16,h,w], a block taking all its levels before the next begins. switches: new
    prompts by the frame from which they act; the window is run again under each."""
    b = policy.frames_per_block
    latents = []
    begin = 0

    for i, x in enumerate(noise.split(b)):
        if i * b in (switches or {}):
            clip.say(switches[i * b])
            begin = run_again(clip, policy, torch.cat(latents), begin)
        keys = block_keys(policy, i * b, begin)
        for k in range(schedule.levels):
            if k:
                x = levels.renoise(x, renoise(i, k), schedule.sigmas[k])
            flow = clip.forward(x, schedule.timesteps[k].expand(b), i * b, keys)
            x = levels.to_x0(x, flow, schedule.sigmas[k])
        latents.append(x)
        clip.run_clean(x, i * b, keys)
    return torch.cat(latents)
