"""Begin from a model folder in the released form instead of from nothing: weights are taken by
their names.

The autoencoder and the tokenizer are used as they are; text encoder and transformer, where the
folder has them, are the teacher's and the student's start; a plan of more layers begins with the
same function. The bank and the later stages are then trained as usual.
"""

import json
import pathlib
import shutil

import torch

from . import run
from .export import DEVIATION, MEAN, config

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


def put_autoencoder(plan, weights):
    """As trained. The latents' scale is the release's own: what was folded into it stays there."""
    put(plan, "vae-image", "vae", weights, finished=True)
    put(plan, "vae-video", "vae", weights, finished=True)
    matrix = torch.diag(1 / torch.tensor(DEVIATION).double()).float()
    scale = dict(mean=torch.tensor(MEAN), matrix=matrix)
    run.save_file(run.folder(plan, "bank") / "scale.pt", lambda p: torch.save(scale, p))


def deepen(dit, layers, wanted):
    """The same function in more layers: each is followed by copies of itself whose outputs, zero
    at first, are yet to be learned.
    """
    deeper = {k: w for k, w in dit.items() if not k.startswith("blocks.")}
    for new in range(wanted):
        old = new * layers // wanted
        copy = new > 0 and (new - 1) * layers // wanted == old
        for k, w in dit.items():
            if k.startswith(f"blocks.{old}."):
                name = k.removeprefix(f"blocks.{old}.")
                zero = copy and name.startswith(("self_attn.o.", "cross_attn.o.", "ffn.2."))
                deeper[f"blocks.{new}.{name}"] = torch.zeros_like(w) if zero else w.clone()
    return deeper


def put_transformer(plan, folder):
    found = json.loads((folder / "config.json").read_text())
    wanted = config(plan)
    free = ("_class_name", "num_layers")
    odd = [k for k in wanted if k not in free and found.get(k) != wanted[k]]
    if odd or found["num_layers"] > plan.layers:
        what = ", ".join(odd or ["num_layers"])
        raise SystemExit(f"{folder}/config.json is not of plan {plan.name}: {what}")
    dit = deepen(read(folder / FILES["dit"]), found["num_layers"], plan.layers)
    parts = dict(text=read(folder / FILES["text"]), dit=dit)
    both = {f"{part}.{k}": w for part, weights in parts.items() for k, w in weights.items()}
    put(plan, "teacher", "teacher", both, finished=False)
    put(plan, "start", "student", dit, finished=False)


def adopt(plan, folder):
    """Take over what the folder has: at least an autoencoder and a tokenizer. Refuses where the
    plan's own training has begun.
    """
    folder = pathlib.Path(folder)
    if (run.folder(plan, "vae-image") / "state.pt").exists():
        raise SystemExit(f"{run.folder(plan)} holds a training already; move it away first")
    tokens = run.folder(plan, "tokens")
    shutil.copy(folder / TOKENIZER, tokens / "spiece.model")
    (tokens / "finished.json").write_text("{}\n")
    put_autoencoder(plan, read(folder / FILES["vae"]))
    whole = (folder / FILES["dit"]).exists()
    if whole:
        put_transformer(plan, folder)
    what = "all" if whole else "autoencoder and tokenizer"
    print(f"{folder}: {what} taken over; go on with `all`", flush=True)
    return True
