#!/usr/bin/env python3
"""Golden cases computed by tools/reference: `make_golden.py OUT [CASE...]`.

Writes OUT/CASE in the form that tests/golden/README.md describes. A case is a pure
function of its entry here: random weights and inputs come from its name, the
results are computed in float64 and stored as float32. A rolling case's inputs are
stored as bfloat16 (exact, half the size); its weights as the entry says.

Weights are drawn so that a slip shows: queries and keys are scaled up until
attention is peaked, norms and modulations are far from 1 and 0.
"""

import argparse
import json
import pathlib
import zlib

import torch
from safetensors.torch import load_file, save_file

from check_reference import compute_rolling, compute_vae
from draw_weights import draw_transformer, draw_vae, model

FOUR_LEVELS = [1000, 750, 500, 250]


def clip(blocks, height, width, *, steps=(1000, 800, 600, 400, 200), warp=True, shift=5.0,
         frames_per_block=3, attention_frames=21, window="rolling", sink_blocks=1, show=()):
    """show: the steps whose window tensors are stored."""
    case = dict(kind="rolling", window=window, steps=list(steps), warp=warp, timestep_shift=shift,
                frames_per_block=frames_per_block, latent_frames=blocks * frames_per_block,
                latent_height=height, latent_width=width, sink_blocks=sink_blocks,
                attention_frames=attention_frames)
    return case, show


ROLLING = {
    "rolling-head64": (model(128, 2, ffn_dim=64), clip(7, 2, 6, show=(0, 5))),
    "rolling-odd": (model(52, 2, layers=2, ffn_dim=80, text_len=7),
                    clip(9, 6, 10, frames_per_block=1, attention_frames=7, show=(5,))),
    "rolling-one-block": (model(48, 1, store="f32"), clip(1, 4, 6, show=(0, 2, 4))),
    "rolling-two-blocks": (model(64, 2, layers=2), clip(2, 4, 6, show=(0, 4, 5))),
    "rolling-4-levels": (model(48, 2, layers=2), clip(10, 2, 6, steps=FOUR_LEVELS,
                                                      show=(4, 12))),
    "rolling-no-warp": (model(48, 2, layers=2), clip(7, 6, 4, steps=(1000, 937, 833, 625),
                                                     warp=False, show=(0, 4))),
    "rolling-long": (model(48, 2, layers=2), clip(20, 2, 4, show=(12, 22))),
    "rolling-b2": (model(48, 2, layers=2), clip(12, 4, 6, frames_per_block=2, attention_frames=14,
                                                show=(1, 6))),
    "block-21": (model(48, 2, layers=2), clip(10, 4, 6, steps=FOUR_LEVELS, window="block",
                                              sink_blocks=0)),
}
# Other runs of a case's weights and of what its inputs begin with: they expect latents alone.
SWITCH = "longlive-switch-relative"
SHARED = {
    "lol": ("block-21", 21, dict(policy="lol", attention_frames=12, sink_blocks=1, jitter=0.8,
                                 jitter_seed=0)),
    "switch-absolute": (SWITCH, 18, dict(positions="absolute", prompt_switches=[
        dict(frame=6, from_frame=6, prompt_embeds="prompt_embeds/1"),
        dict(frame=15, from_frame=15, prompt_embeds="prompt_embeds")])),
    "switch-new-sink": (SWITCH, 18, dict(positions="absolute", keep_sink_on_switch=False,
                                         prompt_switches=[dict(
                                             frame=15, from_frame=15,
                                             prompt_embeds="prompt_embeds/1")])),
}
VAE = {"vae-odd": (4, 4, 5, 3)}  # base width, latent frames, height, width
STORE = {"f32": torch.float32, "bf16": torch.bfloat16}


def draw_inputs(m, case, g):
    """Noise of every block and level, and a prompt whose second half is padding."""
    frames, b = case["latent_frames"], case["frames_per_block"]
    size = (16, case["latent_height"], case["latent_width"])
    prompt = torch.randn(m["text_len"], m["text_dim"], generator=g)
    prompt[(m["text_len"] + 1) // 2:] = 0
    inputs = {"noise": torch.randn(frames, *size, generator=g), "prompt_embeds": prompt}
    for block in range(frames // b):
        for level in range(1, len(case["steps"])):
            inputs[f"renoise/{block}/{level}"] = torch.randn(b, *size, generator=g)
    return inputs


def save_as(dtype, tensors, path):
    save_file({name: t.to(dtype) for name, t in tensors.items()}, path)


def write_json(path, value):
    path.write_text(json.dumps(value, indent=1) + "\n")


def make_rolling(folder, g, m, case, show):
    write_json(folder / "case.json", case)
    config = {key: m[key] for key in ("text_len", "dim", "ffn_dim", "freq_dim", "text_dim",
                                      "num_heads", "num_layers")}
    write_json(folder / "model/config.json",
               {"_class_name": "CausalWanModel", "model_type": "t2v", "patch_size": [1, 2, 2],
                "in_dim": 16, "out_dim": 16, **config, "qk_norm": True, "cross_attn_norm": True,
                "eps": 1e-6})
    inputs = draw_inputs(m, case, g)
    save_as(STORE[m["store"]], draw_transformer(m, g), folder / "model/diffusion_pytorch_model.safetensors")
    save_as(torch.bfloat16, inputs, folder / "inputs.safetensors")

    inputs = load_file(folder / "inputs.safetensors")
    computed = compute_rolling(case, folder / "model", inputs, torch.float64)
    stored = {name: t.float().contiguous() for name, t in computed.items()
              if not name.startswith("window/") or int(name.split("/")[1]) in show}
    save_file(stored, folder / "expected.safetensors")


def make_shared(folder, g, of, frames, changes):
    del g  # nothing is drawn
    base = folder.parent / of
    case = json.loads((base / "case.json").read_text())
    case.update(changes, shares=of, latent_frames=frames)
    case.pop("source", None)
    write_json(folder / "case.json", case)
    inputs = load_file(base / "inputs.safetensors")
    computed = compute_rolling(case, base / "model", inputs, torch.float64)
    save_file({"latents": computed["latents"].float().contiguous()},
              folder / "expected.safetensors")


def make_vae(folder, g, base, frames, height, width):
    case = dict(kind="vae", dim=base, latent_frames=frames, latent_height=height,
                latent_width=width)
    weights = {name: t.bfloat16() for name, t in draw_vae(base, g).items()}
    pictures = (1 + 4 * (frames - 1), 3, 8 * height, 8 * width)
    inputs = {"latents": torch.randn(frames, 16, height, width, generator=g),
              "pixels": torch.rand(pictures, generator=g) * 2 - 1}

    write_json(folder / "case.json", case)
    torch.save(weights, folder / "model/Wan2.1_VAE.pth")
    save_file(inputs, folder / "inputs.safetensors")
    computed = compute_vae(case, folder / "model", inputs, torch.float64)
    save_file({name: t.float().contiguous() for name, t in computed.items()},
              folder / "expected.safetensors")


CASES = {name: (make_rolling, m, *c) for name, (m, c) in ROLLING.items()}
CASES.update({name: (make_vae, *v) for name, v in VAE.items()})
CASES.update({name: (make_shared, *v) for name, v in SHARED.items()})


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("out", type=pathlib.Path)
    parser.add_argument("case", nargs="*", help="default: all")
    options = parser.parse_args()
    unknown = set(options.case) - set(CASES)
    if unknown:
        parser.error(f"no such case: {', '.join(sorted(unknown))}; there are {', '.join(CASES)}")

    torch.set_num_threads(1)
    for name in options.case or CASES:
        make, *entry = CASES[name]
        folder = options.out / name
        (folder if make is make_shared else folder / "model").mkdir(parents=True, exist_ok=True)
        g = torch.Generator().manual_seed(zlib.crc32(name.encode()))
        with torch.inference_mode():
            make(folder, g, *entry)
        size = sum(f.stat().st_size for f in folder.rglob("*") if f.is_file())
        print(f"{name}: {size / 1000:.0f} KB")


if __name__ == "__main__":
    main()
