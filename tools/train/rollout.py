"""Roll-outs of the student: the rolling window and block by block, as the released form runs them,
with gradient where asked.

Frames are latent frames. Clean keys and values are kept without RoPE and without gradient.
"""

from dataclasses import dataclass

import torch

from . import flow
from .nets.transformer import Transformer


@dataclass(frozen=True)
class Policy:
    """What a window attends to. sink: the first block stays attended to; moved: at positions that end
    where the recent frames begin, else at its own.
    """

    block: int = 3
    span: int = 21
    sink: bool = True
    moved: bool = True

    def window_keys(self, first, frames):
        """(frame, position) of the clean keys seen by a rolling window of `frames` frames from
        `first` on.
        """
        if first == 0:
            return []
        sink = self.block if self.sink else 0
        count = max(0, min(self.span - frames - sink, first - sink))
        at = first - count - sink if self.moved else 0
        return [(f, at + f) for f in range(sink)] + [(f, f) for f in range(first - count, first)]

    def history_keys(self, first):
        """The same for a clean pass, and for every pass block by block."""
        return [(f, f) for f in range(max(0, first + self.block - self.span), first)]


def fresh_noise(block, level, like):
    return torch.randn_like(like)


class Rollout:
    """Clips under way, all of the same length. text: keys and values of their captions
    (Transformer.text).
    """

    def __init__(self, net: Transformer, text, levels, policy=Policy(), renoise=fresh_noise):
        self.net, self.text, self.levels, self.policy, self.renoise = (
            net,
            text,
            levels,
            policy,
            renoise,
        )
        self.clean = None  # per layer keys, values [n,heads,frames,tokens,head size]

    def past(self, keys):
        if not keys:
            return None
        at = torch.tensor([f for f, _ in keys], device=self.clean[0][0].device)
        kept = [(k[:, :, at].flatten(2, 3), v[:, :, at].flatten(2, 3)) for k, v in self.clean]
        return kept, [p for _, p in keys]

    def x0(self, x, sigma, first, keys):
        """Clean latents of the frames from `first` on; sigma: of each frame."""
        s = torch.tensor(sigma, dtype=torch.float32, device=x.device).expand(x.shape[:2])
        positions = range(first, first + x.shape[1])
        v = self.net(x, s * 1000, self.text, positions, self.past(keys))
        return x - flow.per_frame(s) * v.float()

    @torch.no_grad()
    def keep(self, x0, first):
        """The clean pass: leave keys and values of a finished block behind."""
        frames = x0.shape[1]
        _, own = self.net(
            x0,
            torch.zeros(x0.shape[:2], device=x0.device),
            self.text,
            range(first, first + frames),
            self.past(self.policy.history_keys(first)),
            keep=True,
        )
        own = [tuple(t.unflatten(2, (frames, -1)) for t in kv) for kv in own]
        if self.clean is None:
            self.clean = own
        else:
            self.clean = [
                tuple(torch.cat(both, 2) for both in zip(old, new))
                for old, new in zip(self.clean, own)
            ]

    def again(self, x0, block, level):
        """A block's x0 at the next level's noise."""
        s = self.levels[level]
        return (1 - s) * x0 + s * self.renoise(block, level, x0)

    def rolling(self, noise, grad_at=None, grad_from=0):
        """x0 of all blocks of noise [n,frames,16,h,w], as a list.

        Without grad_at: what the released form renders. With it: windows number grad_at, grad_at +
        W, ... have gradient as far as they reach behind block grad_from; together they cover every
        block once, at all levels.
        """
        size, last_level = self.policy.block, len(self.levels) - 1
        noisy = list(noise.split(size, 1))
        count, out = len(noisy), [None] * len(noisy)
        for w in range(count + last_level):
            first, last = max(0, w - last_level), min(count - 1, w)
            blocks = range(first, last + 1)
            sigma = [self.levels[w - b] for b in blocks for _ in range(size)]
            keys = self.policy.window_keys(first * size, len(sigma))
            grad = grad_at is not None and w % len(self.levels) == grad_at and last >= grad_from
            with torch.set_grad_enabled(grad):
                x0 = self.x0(torch.cat([noisy[b] for b in blocks], 1), sigma, first * size, keys)
            for b, c in zip(blocks, x0.split(size, 1)):
                if (grad and b >= grad_from) or (grad_at is None and w - b == last_level):
                    out[b] = c
                c = c.detach()
                if w - b < last_level:
                    noisy[b] = self.again(c, b, w - b + 1)
                elif b < count - 1:
                    self.keep(c, b * size)
        return out

    def by_block(self, noise, grad_from=None):
        """The same block by block. With grad_from every roll-out stops its blocks at a level drawn
        for it, whose x0 has gradient from that block on.
        """
        size, out = self.policy.block, []
        end = (
            len(self.levels) - 1 if grad_from is None else int(torch.randint(len(self.levels), ()))
        )
        blocks = noise.split(size, 1)
        for b, x in enumerate(blocks):
            first = b * size
            keys = self.policy.history_keys(first)
            for k in range(end + 1):
                with torch.set_grad_enabled(grad_from is not None and k == end and b >= grad_from):
                    x0 = self.x0(x, [self.levels[k]] * size, first, keys)
                if k < end:
                    x = self.again(x0, b, k + 1)
            out.append(x0)
            if b < len(blocks) - 1:
                self.keep(x0.detach(), first)
        return out
