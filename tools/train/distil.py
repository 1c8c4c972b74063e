"""Distribution matching: the student rolls out on its own, and is pushed from what a critic takes
its clips for to what the teacher, with guidance, would make of them.

Roll-outs are longer than the trained window of 21 frames, with gradient in the last 21 alone and
there on windows that do not overlap; a fair coin chooses rolling or block by block. The critic
learns the student's clips by flow matching, several steps for each roll-out. Every few steps the
student regresses on true clips instead, which keeps motion alive.
"""

import torch

from . import captions, flow, run
from .bank import Bank
from .nets.text import encode_text
from .nets.transformer import Transformer
from .optimizer import Learner
from .plan import clips_on
from .rollout import Policy, Rollout
from .start import Regression, Viewer
from .teacher import load_teacher
from .tokens import Tokenizer
from .trajectories import Trajectories

BATCH = 4
BLOCKS = (7, 14)  # of a roll-out, drawn anew for each
CRITIC_STEPS = 3
GUIDANCE = 3.0
REGRESS_EVERY = 4
FIRST = 4 * 10**8  # seed of the first caption


def train(plan, device, minutes, policy=None, rolling_share=0.5, name="distil"):
    """policy, rolling_share, name: for ablations (no sink, sink not moved, block by block
    alone).
    """
    policy, batch = policy or Policy(plan.block, plan.span), clips_on(device, BATCH)
    dit, text_encoder = load_teacher(plan, device)
    started = {k: w.to(device) for k, w in run.trained(plan, "start")["student"].items()}
    student = Learner(started, 1e-4, betas=(0.0, 0.99), average=0.99, device=device)
    critic = Learner(dit, 2e-4, betas=(0.0, 0.99), average=0.0, device=device)
    job = run.Run(
        plan,
        name,
        plan.distil_steps,
        minutes,
        {"student": student, "critic": critic},
        measure_every=500,
        show_every=900,
    )
    net, fake_net, real_net = (
        Transformer(w, plan.heads, plan.freq_dim) for w in (student.weights, critic.weights, dit)
    )
    regression = Regression(plan, Bank(plan, device), Trajectories(plan, device), policy)
    viewer, tokenizer = Viewer(plan, device, text_encoder, 30, policy), Tokenizer(plan)
    empty = tokenizer.ids([""]).to(device).expand(batch, -1)
    shape = (16, plan.height // 8, plan.width // 8)

    def noised(clip):
        """The clip at a random level, the same for all its frames: x, eps, sigma [n,frames]."""
        sigma = (
            flow.shifted(torch.rand(len(clip), 1).clamp(0.02, 0.98), plan.shift)
            .to(device)
            .expand(-1, clip.shape[1])
        )
        eps = torch.randn_like(clip)
        return flow.noised(clip, eps, sigma), eps, sigma

    def roll_out(embedded):
        """The last window of roll-outs, with gradient; whether they began before it."""
        blocks = int(torch.randint(BLOCKS[0], BLOCKS[1] + 1, ()))
        begin = max(0, blocks - plan.span // plan.block)
        noise = torch.randn(batch, blocks * plan.block, *shape).to(device)
        roll = Rollout(net, net.text(embedded), flow.levels(plan), policy)
        if torch.rand(()) < rolling_share:
            out = roll.rolling(noise, int(torch.randint(len(plan.steps), ())), begin)
        else:
            out = roll.by_block(noise, begin)
        return torch.cat(out[begin:], 1), begin > 0

    def match(texts):
        """One roll-out, the critic's steps on it, the student's loss."""
        with torch.no_grad():
            embedded, embedded_empty = (
                encode_text(text_encoder, i) for i in (tokenizer.ids(texts).to(device), empty)
            )
        with flow.autocast(embedded):
            clip, cut = roll_out(embedded)
            fake = clip.detach()
            for _ in range(CRITIC_STEPS):
                x, eps, sigma = noised(fake)
                critic_loss = (
                    (fake_net(x, sigma * 1000, fake_net.text(embedded)).float() - (eps - fake))
                    .square()
                    .mean()
                )
                critic_loss.backward()
                critic.step()
            with torch.no_grad():
                x, eps, sigma = noised(fake)
                text = real_net.text(embedded), real_net.text(embedded_empty)
                x_real = x - flow.per_frame(sigma) * flow.guided(
                    real_net, x, sigma, *text, GUIDANCE
                )
                x_fake = (
                    x
                    - flow.per_frame(sigma)
                    * fake_net(x, sigma * 1000, fake_net.text(embedded)).float()
                )
                push = (x_fake - x_real) / (fake - x_real).abs().mean((1, 2, 3, 4), keepdim=True)
        error = (clip - (fake - push)).square()
        if cut:  # a cut clip's first block is context for the teacher only
            error = error[:, plan.block :]
        return 0.5 * error.mean(), dict(push=push.abs().mean(), critic=critic_loss, std=fake.std())

    def one_step(done):
        if job.step % REGRESS_EVERY == REGRESS_EVERY - 1:
            loss, values = regression.loss(net, text_encoder, batch), {}
            values["regression"] = loss
        else:
            seed = FIRST + job.step * batch
            loss, values = match(
                [captions.of_seed(seed + i, simple=plan.simple) for i in range(batch)]
            )
        loss.backward()
        values["norm"] = student.step(min(1.0, (job.step + 1) / 20))
        return values

    return job.train(
        one_step,
        lambda: viewer.measure(student.average),
        lambda path: viewer.show(student.average, path),
    )
