"""The autoencoder: first on single pictures, then inflated and trained on video; at last its decoder alone.

The decoder's own stage leaves the latents as they are, so it may come when all else is trained.

Pictures first because each costs little and is another scene; of a causal kernel only the last tap
acts on them. Reconstruction on crops (absolute and squared error, of the pixels, of their
differences in rows, columns and time, and of means over 8x8 pixels, which carry the colours of
areas), the object's pixels weighted up, and a KL term.
"""

import math

import torch
import torch.nn.functional as F

from . import flow, run, world
from .nets import make
from .nets.vae import Vae
from .optimizer import Learner, ramp
from .plan import clips_on
from .sheets import sheet

HELD_OUT = 10**9  # seeds from here on are never trained on
OBJECT_WEIGHT = 3.0
FIRST = {"vae-image": 0, "vae-video": 10**8, "vae-decoder": 5 * 10**8}  # seed of the first clip
# (share of the run, clips a step, frames, crop): the longer the clip, the smaller the crop; whole
# pictures at the end
VIDEO = ((0.6, 4, 9, 48), (0.2, 3, 17, 40), (0.2, 1, 9, 96))


def reconstruction(x, y, cover):
    """Loss of y for x [n,3,t,h,w]; cover [n,t,h,w] says where the object is."""
    d = y - x
    weight = 1 + OBJECT_WEIGHT * cover[:, None]
    weight = weight / weight.mean()
    loss = (weight * (d.abs() + 2 * d.square())).mean()
    edges = (d[..., 1:, :] - d[..., :-1, :]).abs().mean() + (d[..., 1:] - d[..., :-1]).abs().mean()
    if x.shape[2] > 1:
        edges = edges + (d[:, :, 1:] - d[:, :, :-1]).abs().mean()
    areas = F.avg_pool3d(d, (1, 8, 8))
    return loss + 0.5 * edges + 2 * (areas.abs().mean() + 2 * areas.square().mean())


def psnr(a, b, weight=None):
    """Of pictures in -1..1, in dB; weight: of each pixel."""
    error = (a.float() - b.float()).square()
    error = (
        error.mean()
        if weight is None
        else (error * weight).sum() / (weight.sum() * a.shape[1]).clamp(min=1e-6)
    )
    return 10 * math.log10(4 / max(float(error), 1e-12))


# rates of Muon and Adam, weight of the KL term
RATES = {
    "vae-image": (0.02, 2e-3, 3e-4),
    "vae-video": (0.008, 8e-4, 1e-3),
    "vae-decoder": (0.008, 8e-4, 0.0),
}


def is_decoder(name):
    return name.startswith(("decoder.", "conv2."))


def trained(plan):
    """The autoencoder of the latest stage there is."""
    weights = run.trained(plan, "vae-video")["vae"]
    if (run.folder(plan, "vae-decoder") / "state.pt").exists():
        weights.update(run.trained(plan, "vae-decoder")["vae"])
    return weights


def begin(plan, name):
    """Weights to train and weights that stay as they are."""
    if name == "vae-image":
        return make.make_vae(plan.vae_width), {}
    if name == "vae-video":
        weights = run.trained(plan, "vae-image")["vae"]
        make.inflate(weights)
        return weights, {}
    weights = run.trained(plan, "vae-video")["vae"]
    return (
        {k: w for k, w in weights.items() if is_decoder(k)},
        {k: w for k, w in weights.items() if not is_decoder(k)},
    )


def train(plan, device, minutes, name):
    still, steps = name == "vae-image", plan.vae_steps[name]
    muon, adam, kl_weight = RATES[name]
    weights, frozen = begin(plan, name)
    frozen = {k: w.to(device) for k, w in frozen.items()}
    learner = Learner(weights, adam, muon, average=0.995, device=device)
    job = run.Run(plan, name, steps, minutes, {"vae": learner})
    vae, averaged = (Vae({**w, **frozen}, still) for w in (learner.weights, learner.average))
    test_frames = 1 if still else 33
    test, test_cover, _ = world.clips(
        range(HELD_OUT, HELD_OUT + (32 if still else 4)),
        test_frames,
        plan.height,
        plan.width,
        device=device,
        held_out=True,
        simple=plan.simple,
    )

    def form(done):
        """Clips a step, frames, crop."""
        if still:
            return (8, 1, 64) if done < 0.8 else (4, 1, min(plan.height, plan.width))
        for share, *rest in VIDEO:
            if done < share:
                return rest[0], rest[1], min(rest[2], plan.height, plan.width)
            done -= share
        return VIDEO[-1][1], VIDEO[-1][2], min(VIDEO[-1][3], plan.height, plan.width)

    def one_step(done):
        count, frames, crop = form(done)
        count = clips_on(device, count)
        first = job.step * 64 + FIRST[name]
        x, cover, _ = world.clips(
            range(first, first + count),
            frames,
            plan.height,
            plan.width,
            (crop, crop),
            device,
            simple=plan.simple,
        )
        with flow.autocast(x):
            with torch.set_grad_enabled(not frozen):
                mean, log_variance = vae.encode(x)
            mean, log_variance = mean.float(), log_variance.float().clamp(-20, 5)
            y = vae.decode(mean + torch.randn_like(mean) * (log_variance * 0.5).exp()).float()
        loss = reconstruction(x, y, cover)
        kl = 0.5 * (mean.square() + log_variance.exp() - 1 - log_variance).mean()
        (loss + kl_weight * min(1.0, 0.3 + 2 * done) * kl).backward()
        norm = learner.step(ramp(done, warm=0.03))
        return dict(loss=loss, kl=kl, norm=norm)

    @torch.no_grad()
    def rebuild():
        parts = []
        for x in test.split(8):
            with flow.autocast(x):
                parts.append(averaged.decode(averaged.encode(x)[0]).float().clamp(-1, 1))
        return torch.cat(parts)

    def measure():
        y = rebuild()
        return dict(
            psnr=psnr(y, test),
            psnr_object=psnr(y, test, test_cover[:, None]),
            psnr_last=psnr(y[:, :, -1], test[:, :, -1]),
        )

    def show(path):
        y = rebuild()
        rows = [
            [clip[:, t] for t in range(0, test_frames, 3)] for pair in zip(test, y) for clip in pair
        ]
        if still:
            rows = [
                [c[:, 0] for c in part]
                for both in zip(test.split(12), y.split(12))
                for part in both
            ]
        sheet([torch.stack(r) for r in rows], path)

    return job.train(one_step, measure, show)
