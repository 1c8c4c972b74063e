"""Renders the clips that are measured: a card for each variant of the model, a job for all its
captions, `rollmill render`.
"""

import json
import pathlib
import subprocess

import torch
from safetensors.torch import load_file

from ..train import captions, flow
from ..train.bank import HELD_OUT
from ..train.teacher import GUIDANCE, SAMPLE_STEPS, Captioned, load_teacher
from ..train.tokens import Tokenizer

FIRST = HELD_OUT + 10**7  # seed of the first caption; none is trained on
FPS = 16

# What is changed in the card's window.
VARIANTS = {
    "method": {},
    "no-sink": {"sink_frames": "0"},
    "sink-stays": {"sink_positions": "fixed"},
    "by-block": {"kind": "block", "sink_frames": "0"},
    "deep-sink": {"kind": "block", "policy": "deep-sink", "sink_frames": "9"},
    "ema-sink": {"policy": "ema-sink"},
    "rolling-sink": {"policy": "rolling-sink"},
}


def held_out_captions(count):
    return [captions.of_seed(FIRST + i, held_out=True, simple=True) for i in range(count)]


@torch.no_grad()
def teacher_latents(plan, titles):
    """Latents [frames,16,h,w] of the trainer's teacher for every caption, as the program stores
    them.
    """
    model, tokenizer, out = Captioned(plan, *load_teacher(plan, "cpu")), Tokenizer(plan), []
    none = model.read(tokenizer.ids([""]))
    grid = [flow.shifted(1 - i / SAMPLE_STEPS, plan.shift) for i in range(SAMPLE_STEPS + 1)]
    for number, title in enumerate(titles):
        shape = (1, plan.span, 16, plan.height // 8, plan.width // 8)
        noise = torch.randn(shape, generator=torch.Generator().manual_seed(number))
        text = model.read(tokenizer.ids([title]))
        out.append(flow.sample(model.net, noise, grid, text, none, GUIDANCE)[0])
    return out


def variant_card(card, changes):
    """The text of a card with its window changed; its paths made absolute."""
    folder, lines = pathlib.Path(card).resolve().parent, []
    for line in pathlib.Path(card).read_text().splitlines():
        key, _, value = line.strip().partition(": ")
        if key in ("weights", "config", "encoder", "tokenizer", "vae"):
            line = line.replace(value, str(folder / value))
        if key == "window":
            window = dict(part.split(": ") for part in value.strip("{}").split(", "))
            line = (
                "window: {" + ", ".join(f"{k}: {v}" for k, v in {**window, **changes}.items()) + "}"
            )
        lines.append(line)
    return "\n".join(lines) + "\n"


def job(name, size, seconds, count):
    return f"""render: 1
name: {name}
model: {name}.yaml
prompt: "{{caption}}"
clip: {{size: {size}, fps: {FPS}, length: {seconds}s}}
sweep:
  axes:
    caption: {{file: captions.jsonl, field: text, limit: {count}}}
    seed: {{range: "0-{count - 1}"}}
  combine: "(caption, seed)"
output:
  dir: {name}
  name: "{{index:03d}}"
  formats: [{{file: clip.mp4, codec: h264, preset: ultrafast}}]
  latents: {{file: latents.safetensors, dtype: bf16}}
"""


def render(rollmill, card, variant, label, out, size, seconds, count):
    """Folders of the clips in the captions' order, or None if this rollmill refuses the variant's
    card. Clips that are there already are kept. label: names the folder.
    """
    name = f"{label}-{seconds}s"
    out.mkdir(parents=True, exist_ok=True)
    lines = [json.dumps({"text": t}) for t in held_out_captions(count)]
    (out / "captions.jsonl").write_text("\n".join(lines) + "\n")
    (out / f"{name}.yaml").write_text(variant_card(card, VARIANTS[variant]))
    (out / f"{name}-job.yaml").write_text(job(name, size, seconds, count))
    command = [rollmill, "check", f"{out}/{name}-job.yaml"]
    checked = subprocess.run(command, capture_output=True, text=True)
    if checked.returncode:
        print(f"{label}: left out: {checked.stderr.strip().splitlines()[-1]}", flush=True)
        return None
    subprocess.run([rollmill, "render", f"{out}/{name}-job.yaml"], check=True)
    return [out / name / f"{i:03d}" for i in range(count)]


def latents_of(folder):
    (tensor,) = load_file(folder / "latents.safetensors").values()
    return tensor.to(torch.float32)
