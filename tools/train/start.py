"""The causal student's start: the teacher's weights, trained by regression in the very layouts of a
roll-out.

Clean blocks go through the clean pass; then one window (rolling, or a single block) predicts the
flow. Most steps are on the teacher's trajectories, which follow captions as its guidance does; the
others on clips of the bank, which move as the world does. See distil.py for what follows.
"""

import torch

from . import flow, run
from .bank import Bank, Scale, pick_captions
from .detector import agreement
from .nets.text import encode_text
from .nets.transformer import Transformer
from .optimizer import Learner, ramp
from .plan import clips_on
from .rollout import Policy, Rollout
from .teacher import clip_sheet, decode, load_teacher, load_vae
from .tokens import Tokenizer
from .trajectories import Trajectories

BATCH = 8
TRAJECTORY_SHARE = 0.75


class Regression:
    """One step's loss of a student on true clips or on trajectories."""

    def __init__(self, plan, bank, trajectories, policy):
        self.plan, self.bank, self.trajectories, self.policy = plan, bank, trajectories, policy
        self.levels = flow.levels(plan)

    def draw(self, count):
        """x0, noisy(level) and ids of whole clips."""
        if torch.rand(()) < TRAJECTORY_SHARE:
            x0, at_level, ids = self.trajectories.draw(count)
            return x0, lambda level: at_level[:, level], ids
        frames = self.plan.bank_frames // self.plan.block * self.plan.block
        x0, ids = self.bank.draw(count, frames, self.plan.block)
        eps = torch.randn_like(x0)
        return x0, lambda level: (1 - self.levels[level]) * x0 + self.levels[level] * eps, ids

    def loss(self, net, text_encoder, count):
        size, last_level = self.plan.block, len(self.levels) - 1
        x0, noisy, ids = self.draw(count)
        blocks = x0.shape[1] // size
        if torch.rand(()) < 0.75:  # a window of a rolling roll-out: (block, its level)
            w = int(torch.randint(blocks + last_level, ()))
            inside = [(b, w - b) for b in range(max(0, w - last_level), min(blocks - 1, w) + 1)]
        else:
            inside = [(int(torch.randint(blocks, ())), int(torch.randint(last_level + 1, ())))]
        rolling = len(inside) > 1
        first = inside[0][0]
        with flow.autocast(x0):
            text = net.text(encode_text(text_encoder, ids))
            roll = Rollout(net, text, self.levels, self.policy)
            for b in range(first):
                roll.keep(x0[:, b * size : (b + 1) * size], b * size)
            sigma = torch.tensor(
                [self.levels[k] for _, k in inside for _ in range(size)], device=x0.device
            )
            x = torch.cat([noisy(k)[:, b * size : (b + 1) * size] for b, k in inside], 1)
            keys = self.policy.window_keys if rolling else lambda f, _: self.policy.history_keys(f)
            got = roll.x0(x, sigma.tolist(), first * size, keys(first * size, len(sigma)))
        want = x0[:, first * size : first * size + len(sigma)]
        return ((got - want) / sigma[None, :, None, None, None]).square().mean()


class Viewer:
    """Roll-outs of a student to look at and to measure."""

    def __init__(self, plan, device, text_encoder, blocks, policy):
        self.plan, self.policy, self.titles = plan, policy, pick_captions(6, plan.simple)
        self.vae, self.scale = load_vae(plan, device), Scale(plan, device)
        self.text_encoder, self.ids = text_encoder, Tokenizer(plan).ids(self.titles).to(device)
        shape = (len(self.titles), blocks * plan.block, 16, plan.height // 8, plan.width // 8)
        self.noise = torch.randn(shape, generator=torch.Generator().manual_seed(11)).to(device)

    @torch.no_grad()
    def roll(self, weights):
        torch.manual_seed(12)
        net = Transformer(weights, self.plan.heads, self.plan.freq_dim)
        with flow.autocast(self.noise):
            text = net.text(encode_text(self.text_encoder, self.ids))
            roll = Rollout(
                net, text, flow.levels(self.plan), Policy(self.plan.block, self.plan.span)
            )
            return torch.cat(roll.rolling(self.noise), 1)

    def measure(self, weights):
        """Of the first and the last blocks: deviation of the latents (1 is about what clips have),
        how much they move, and how often colour and ground are those of the caption.
        """
        out = {}
        for end, (part, pictures) in self.ends(weights).items():
            out[f"std_{end}"] = part.std()
            out[f"motion_{end}"] = (part[:, 1:] - part[:, :-1]).abs().mean()
            found = [agreement(p.transpose(0, 1), t) for p, t in zip(pictures, self.titles)]
            for what in ("colour", "ground"):
                out[f"{what}_{end}"] = sum(f[what] for f in found) / len(found)
        return out

    def ends(self, weights):
        """Latents of the first and of the last two blocks, and some of their pictures."""
        z, length = self.roll(weights), 2 * self.plan.block
        parts = dict(first=z[:, :length], last=z[:, -length:])
        return {k: (p, decode(self.vae, self.scale, p)[:, :, 5::4]) for k, p in parts.items()}

    def show(self, weights, path):
        """The first blocks' pictures, then the last ones'."""
        pictures = [p for _, p in self.ends(weights).values()]
        clip_sheet(torch.cat(pictures, 2), path, self.titles, 1)


def train(plan, device, minutes):
    dit, text_encoder = load_teacher(plan, device)
    learner = Learner(dit, 3e-4, 0.003, average=0.99, device=device)
    job = run.Run(
        plan,
        "start",
        plan.start_steps,
        minutes,
        {"student": learner},
        measure_every=400,
        show_every=800,
    )
    net = Transformer(learner.weights, plan.heads, plan.freq_dim)
    policy = Policy(plan.block, plan.span)
    regression = Regression(plan, Bank(plan, device), Trajectories(plan, device), policy)
    viewer = Viewer(plan, device, text_encoder, 20, policy)

    def one_step(done):
        loss = regression.loss(net, text_encoder, clips_on(device, BATCH))
        loss.backward()
        return dict(loss=loss, norm=learner.step(ramp(done)))

    return job.train(
        one_step,
        lambda: viewer.measure(learner.average),
        lambda path: viewer.show(learner.average, path),
    )
