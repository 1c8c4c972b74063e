"""The model folder in the released form, from the stages' checkpoints: files, tensor names, config
and card.
"""

import hashlib
import json
import shutil

import torch

from . import run, vae_stage
from .bank import Scale
from .teacher import part

# The release's fixed mean and deviation of latents, by which the program scales.
MEAN = (
    -0.7571,
    -0.7089,
    -0.9113,
    0.1075,
    -0.1745,
    0.9653,
    -0.1517,
    1.5508,
    0.4134,
    -0.0715,
    0.5517,
    -0.3632,
    -0.1922,
    -0.9497,
    0.2503,
    -0.2921,
)
DEVIATION = (
    2.8184,
    1.4541,
    2.3275,
    2.6558,
    1.2196,
    1.7708,
    2.6052,
    2.0743,
    3.2687,
    2.1526,
    2.8652,
    1.5579,
    1.6382,
    1.1253,
    2.8251,
    1.9160,
)

CARD = """card: 1
name: {name}
family: wan2.1-t2v
weights: rolling_forcing_dmd.pt
outer_key: generator_ema
config: config.json
text:
  encoder: models_t5_umt5-xxl-enc-bf16.pth
  tokenizer: google/umt5-xxl/spiece.model
vae: Wan2.1_VAE.pth
steps: [{steps}]
warp: true
shift: {shift:g}
frames_per_block: {block}
window: {{kind: rolling, attention_frames: {span}, sink_frames: {block}}}
size: {width}x{height}
license: "Apache-2.0"
"""


def fold(weights, scale):
    """Put the whitening into the autoencoder, exactly: the encoder's last and the decoder's first
    convolution are 1x1x1.

    z = matrix @ (latent - mean) is what the transformer sees; the program scales latents by its own
    constants, so the encoder must give DEVIATION * z + MEAN, and the decoder take it back.
    """
    out = {k: w.detach().double() for k, w in weights.items()}
    m, d = torch.tensor(MEAN).double(), torch.tensor(DEVIATION).double()
    matrix, mean = scale.matrix.double(), scale.mean.double()
    inverse = torch.linalg.inv(matrix)
    w, b = out["conv1.weight"].clone(), out["conv1.bias"].clone()
    w[:16, :, 0, 0, 0] = d[:, None] * (matrix @ w[:16, :, 0, 0, 0])
    b[:16] = d * (matrix @ (b[:16] - mean)) + m
    out["conv1.weight"], out["conv1.bias"] = w, b
    w, b = out["conv2.weight"].clone(), out["conv2.bias"]
    back = w[:, :, 0, 0, 0] @ inverse
    out["conv2.bias"] = b + w[:, :, 0, 0, 0] @ mean - back @ (m / d)
    w[:, :, 0, 0, 0] = back / d
    out["conv2.weight"] = w
    return {k: t.float() for k, t in out.items()}


def stored(weights):
    return {
        k: w.detach().to("cpu", torch.bfloat16).contiguous().clone() for k, w in weights.items()
    }


def best_student(plan, last="distil"):
    """The furthest stage with transformer weights, up to `last`: its name and the weights."""
    for stage in (last, "start"):
        if (run.folder(plan, stage) / "state.pt").exists():
            return stage, run.trained(plan, stage)["student"]
    return "teacher", part(run.trained(plan, "teacher")["teacher"], "dit")


def config(plan):
    return dict(
        _class_name="CausalWanModel",
        model_type="t2v",
        patch_size=[1, 2, 2],
        text_len=plan.text_len,
        in_dim=16,
        dim=plan.dim,
        ffn_dim=plan.ffn,
        freq_dim=plan.freq_dim,
        text_dim=plan.text_dim,
        out_dim=16,
        num_heads=plan.heads,
        num_layers=plan.layers,
        qk_norm=True,
        cross_attn_norm=True,
        eps=1e-6,
    )


def write_model(plan, out, last="distil"):
    """The folder, or as much of it as there are stages up to `last`; returns which stage its
    transformer is of.
    """
    (out / "google/umt5-xxl").mkdir(parents=True, exist_ok=True)
    vae = fold(vae_stage.trained(plan), Scale(plan))
    torch.save(stored(vae), out / "Wan2.1_VAE.pth")
    shutil.copy(run.folder(plan, "tokens") / "spiece.model", out / "google/umt5-xxl/spiece.model")
    if not (run.folder(plan, "teacher") / "state.pt").exists():
        return "none yet"
    stage, dit = best_student(plan, last)
    text = part(run.trained(plan, "teacher")["teacher"], "text")
    torch.save(stored(text), out / "models_t5_umt5-xxl-enc-bf16.pth")
    released = {"generator_ema": {f"model.{k}": w for k, w in stored(dit).items()}}
    torch.save(released, out / "rolling_forcing_dmd.pt")
    (out / "config.json").write_text(json.dumps(config(plan), indent=1) + "\n")
    steps = ", ".join(map(str, plan.steps))
    card = CARD.format(
        name=plan.name,
        steps=steps,
        shift=plan.shift,
        block=plan.block,
        span=plan.span,
        width=plan.width,
        height=plan.height,
    )
    (out / "card.yaml").write_text(card)
    return stage


def train(plan, device, minutes):
    """Into the stage's folder, with a list of sizes and hashes; each student trained with one thing
    changed into a folder of its own beside it.
    """
    for path in sorted(run.folder(plan).glob("distil-*/state.pt")):
        name = path.parent.name
        write_model(plan, run.folder(plan, "export") / name, name)
    out = run.folder(plan, "export") / "model"
    lines = [f"transformer of stage {write_model(plan, out)}"]
    for file in sorted(f for f in out.rglob("*") if f.is_file()):
        digest = hashlib.sha256(file.read_bytes()).hexdigest()
        lines.append(f"{digest}  {file.stat().st_size:9d}  {file.relative_to(out)}")
    text = "\n".join(lines) + "\n"
    run.save_file(run.folder(plan, "export") / "hashes.txt", lambda p: p.write_text(text))
    print(text, end="", flush=True)
    return True
