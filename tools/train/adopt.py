"""Begin from a model folder in the released form instead of from nothing: weights are taken by
their names.

The autoencoder, the tokenizer and the text encoder are used as they are; the transformer is the
teacher's and the student's start. The bank and the later stages are then trained as usual.
"""

import json
import pathlib
import shutil

import torch

from . import run
from .export import config

FILES = {
    "vae": "Wan2.1_VAE.pth",
    "text": "models_t5_umt5-xxl-enc-bf16.pth",
    "dit": "rolling_forcing_dmd.pt",
}
TOKENIZER = "google/umt5-xxl/spiece.model"


def read(path):
    """Weights of a file of the release in float32, without its outer key and prefixes."""
    weights = torch.load(path, weights_only=True, map_location="cpu")
    for key in ("generator_ema", "generator"):
        if key in weights:
            weights = weights[key]
            break
    return {k.removeprefix("model."): w.float() for k, w in weights.items()}


def read_model(folder):
    return {part: read(folder / name) for part, name in FILES.items()}


def put(plan, stage, learner, weights, finished):
    """A checkpoint of step 0, as if the stage had just begun with these weights, or were done."""
    path = run.folder(plan, stage)
    state = dict(weights=weights, average=weights, momentum={}, steps=0)
    whole = dict(step=0, spent=0.0, rows="[]", learners={learner: state})
    run.save_file(path / "state.pt", lambda p: torch.save(whole, p))
    if finished:
        run.save_file(path / "finished.json", lambda p: p.write_text("{}\n"))


def adopt(plan, folder):
    folder = pathlib.Path(folder)
    found = json.loads((folder / "config.json").read_text())
    model = read_model(folder)
    wanted = config(plan)
    odd = [k for k in wanted if k != "_class_name" and found.get(k) != wanted[k]]
    if odd:
        raise SystemExit(f"{folder}/config.json is not of plan {plan.name}: {', '.join(odd)}")
    tokens = run.folder(plan, "tokens")
    shutil.copy(folder / TOKENIZER, tokens / "spiece.model")
    (tokens / "finished.json").write_text("{}\n")
    put(plan, "vae-image", "vae", model["vae"], finished=True)
    put(plan, "vae-video", "vae", model["vae"], finished=True)
    both = {f"{part}.{k}": w for part in ("text", "dit") for k, w in model[part].items()}
    put(plan, "teacher", "teacher", both, finished=False)
    put(plan, "start", "student", model["dit"], finished=False)
    print(f"{folder}: taken over; go on with `all`", flush=True)
    return True
