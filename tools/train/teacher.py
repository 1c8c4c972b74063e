"""The text encoder and the bidirectional teacher, by flow matching on the bank.

Each step sums the gradients of windows of several lengths: what a caption's words look like is
learned on single blocks, of which many fit into a step; how things move on the longer ones. A step
of long windows alone holds four captions, and at that noise the words for colours are forgotten
within a thousand steps.
"""

import torch

from . import flow, run, vae_stage
from .bank import Bank, Scale, empty_share, pick_captions
from .detector import agreement
from .nets import make
from .nets.text import encode_text
from .nets.transformer import Transformer
from .nets.vae import Vae
from .optimizer import Learner, ramp
from .plan import clips_on
from .sheets import sheet
from .tokens import Tokenizer

GUIDANCE = 3.0
SAMPLE_STEPS = 20


def start_weights(plan, vocabulary):
    """Both networks in one dict, as `text.NAME` and `dit.NAME`."""
    text = make.make_text_encoder(
        vocabulary, plan.text_dim, plan.text_layers, plan.text_heads, 2 * plan.text_dim
    )
    dit = make.make_transformer(plan.dim, plan.layers, plan.ffn, plan.text_dim, plan.freq_dim)
    return {**{f"text.{k}": w for k, w in text.items()}, **{f"dit.{k}": w for k, w in dit.items()}}


def part(weights, name):
    return {k[len(name) + 1 :]: w for k, w in weights.items() if k.startswith(name + ".")}


class Captioned:
    """A transformer with a text encoder."""

    def __init__(self, plan, dit, text):
        self.net, self.text = Transformer(dit, plan.heads, plan.freq_dim), text

    def read(self, ids):
        """Keys and values of captions, per layer."""
        return self.net.text(encode_text(self.text, ids))


def load_teacher(plan, device):
    """The averaged weights: transformer, text encoder."""
    weights = {k: w.to(device) for k, w in run.trained(plan, "teacher")["teacher"].items()}
    return part(weights, "dit"), part(weights, "text")


def load_vae(plan, device):
    return Vae({k: w.to(device) for k, w in vae_stage.trained(plan).items()})


@torch.no_grad()
def decode(vae, scale, latents):
    """Pictures [n,3,t,h,w] of the transformer's latents [n,frames,16,h,w]."""
    with flow.autocast(latents):
        clips = [
            vae.decode(scale.to_vae(z)[None].transpose(1, 2)).float().clamp(-1, 1)[0]
            for z in latents
        ]
    return torch.stack(clips)


def clip_sheet(pictures, path, titles, every):
    """One row a clip [3,t,h,w], of every so many pictures."""
    sheet([clip[:, ::every].transpose(0, 1) for clip in pictures], path, titles)


def train(plan, device, minutes):
    tokenizer, scale, vae = Tokenizer(plan), Scale(plan, device), load_vae(plan, device)
    bank, held = Bank(plan, device), Bank(plan, device, held_out=True)
    learner = Learner(
        start_weights(plan, tokenizer.size()), 1e-3, 0.02, average=0.998, device=device
    )
    job = run.Run(
        plan,
        "teacher",
        plan.teacher_steps,
        minutes,
        {"teacher": learner},
        measure_every=240,
        show_every=600,
    )
    model, averaged = (
        Captioned(plan, part(w, "dit"), part(w, "text")) for w in (learner.weights, learner.average)
    )
    empty = tokenizer.ids([""]).to(device)
    titles = pick_captions(8, plan.simple)
    g = torch.Generator().manual_seed(5)
    test = held.latents[:24, : plan.span].float()
    test_eps = torch.randn(test.shape, generator=g).to(device)
    show_noise = torch.randn((len(titles), plan.span, *test.shape[2:]), generator=g).to(device)

    def loss_of(captioned, x0, eps, sigma, ids):
        with flow.autocast(x0):
            v = captioned.net(
                flow.noised(x0, eps, sigma), sigma * 1000, captioned.read(ids)
            ).float()
        return (v - (eps - x0)).square().mean()

    def add_gradients(count, frames):
        """Of so many clips' windows; their loss."""
        x0, ids = bank.draw(count, frames, plan.block)
        ids = empty_share(ids, empty, 0.1)
        sigma = flow.draw_levels(count, frames, plan.block, plan.shift).to(device)
        loss = loss_of(model, x0, torch.randn_like(x0), sigma, ids)
        (loss * frames * count / latents).backward()
        return loss.detach() * frames * count / latents

    windows = [(clips_on(device, count), frames) for count, frames in plan.windows]
    latents = sum(count * frames for count, frames in windows)

    def one_step(done):
        loss = sum(add_gradients(count, frames) for count, frames in windows)
        return dict(loss=loss, norm=learner.step(ramp(done)))

    @torch.no_grad()
    def measure():
        x0, eps = test, test_eps
        return {
            f"held_{s}": loss_of(
                averaged, x0, eps, torch.full(x0.shape[:2], s, device=device), held.ids[:24]
            )
            for s in (0.3, 0.6, 0.9)
        }

    @torch.no_grad()
    def show(path):
        grid = [flow.shifted(1 - i / SAMPLE_STEPS, plan.shift) for i in range(SAMPLE_STEPS + 1)]
        text = averaged.read(tokenizer.ids(titles).to(device))
        none = averaged.read(empty.expand(len(titles), -1))
        z = flow.sample(averaged.net, show_noise, grid, text, none, GUIDANCE)
        pictures = decode(vae, scale, z)
        clip_sheet(pictures, path, titles, 8)
        found = [agreement(p[:, 4::8].transpose(0, 1), t) for p, t in zip(pictures, titles)]
        job.log({what: sum(f[what] for f in found) / len(found) for what in ("colour", "ground")})

    return job.train(one_step, measure, show)
