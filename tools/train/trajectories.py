"""Trajectories of the teacher: clips sampled with guidance, kept at each of the student's noise
levels.
"""

import time

import torch

from . import captions, flow, run
from .bank import load
from .teacher import GUIDANCE, Captioned, load_teacher
from .tokens import Tokenizer

SHARD = 8
SUBSTEPS = 4  # Euler steps from one of the student's levels to the next
FIRST = 3 * 10**8  # seed of the first caption


def train(plan, device, minutes):
    path, stop, began = run.folder(plan, "trajectories"), run.Stop(), time.time()
    tokenizer = Tokenizer(plan)
    model = Captioned(plan, *load_teacher(plan, device))
    ends = (*plan.steps, 0)
    fine = [a + (b - a) * i / SUBSTEPS for a, b in zip(ends, ends[1:]) for i in range(SUBSTEPS)]
    grid = [flow.shifted(d / 1000, plan.shift) for d in (*fine, 0)]
    for n in range(-(-plan.trajectories // SHARD)):
        file = path / f"{n:04d}.pt"
        if file.exists():
            continue
        texts = [captions.of_seed(FIRST + n * SHARD + i, simple=plan.simple) for i in range(SHARD)]
        ids = tokenizer.ids(texts).to(device)
        with torch.no_grad(), flow.autocast(ids):
            text = model.read(ids)
            none = model.read(tokenizer.ids([""]).to(device).expand_as(ids))
        g = torch.Generator().manual_seed(n)
        noise = torch.randn(
            SHARD, plan.span, 16, plan.height // 8, plan.width // 8, generator=g
        ).to(device)
        x0, kept = flow.sample(
            model.net, noise, grid, text, none, GUIDANCE, keep=range(0, len(fine), SUBSTEPS)
        )
        content = dict(
            x0=x0.bfloat16().cpu(),
            levels=torch.stack(kept, 1).bfloat16().cpu(),
            ids=ids.cpu(),
            texts=texts,
        )
        run.save_file(file, lambda p: torch.save(content, p))
        print(f"trajectories {file.name}: {time.time() - began:.0f} s", flush=True)
        if stop:
            return False
        if minutes and time.time() - began > 60 * minutes:
            break
    run.save_file(path / "finished.json", lambda p: p.write_text("{}\n"))
    return True


class Trajectories:
    """x0 [n,frames,16,h,w], levels [n,W,frames,16,h,w], ids [n,text_len], all on the device."""

    def __init__(self, plan, device):
        parts = [load(p) for p in sorted(run.folder(plan, "trajectories").glob("*.pt"))]
        for name in ("x0", "levels", "ids"):
            setattr(self, name, torch.cat([p[name] for p in parts]).to(device))

    def draw(self, count):
        pick = torch.randint(len(self.x0), (count,)).to(self.x0.device)
        return self.x0[pick].float(), self.levels[pick].float(), self.ids[pick]
