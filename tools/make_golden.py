#!/usr/bin/env python3
"""Golden cases computed by tools/reference: `make_golden.py OUT [CASE...]`.

Writes OUT/CASE in the form that tests/golden/README.md describes. A case is a pure
function of its entry in CASES: random weights and noise come from its seed, the
clip is computed in float64 and stored as float32. Inputs are stored as bfloat16
(exact, half the size); weights as the entry says.

Weights are drawn so that a slip shows: queries and keys are scaled up until
attention is peaked, norms and modulations are far from 1 and 0.
"""

import argparse
import json
import pathlib
import zlib

import torch
from safetensors.torch import load_file, save_file

from check_reference import compute_rolling

FOUR_LEVELS = [1000, 750, 500, 250]


def model(dim, heads, *, layers=1, ffn_dim=None, freq_dim=32, text_dim=16, text_len=8, store="bf16"):
    return dict(dim=dim, num_heads=heads, num_layers=layers, ffn_dim=ffn_dim or dim + 16,
                freq_dim=freq_dim, text_dim=text_dim, text_len=text_len, store=store)


def clip(blocks, height, width, *, steps=(1000, 800, 600, 400, 200), warp=True, shift=5.0,
         frames_per_block=3, attention_frames=21, window="rolling", sink_blocks=1, show=()):
    """show: the steps whose window tensors are stored."""
    case = dict(kind="rolling", window=window, steps=list(steps), warp=warp, timestep_shift=shift,
                frames_per_block=frames_per_block, latent_frames=blocks * frames_per_block,
                latent_height=height, latent_width=width, sink_blocks=sink_blocks,
                attention_frames=attention_frames)
    return case, show


CASES = {
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
    "block-12-sink": (model(48, 2, layers=2), clip(8, 4, 6, steps=FOUR_LEVELS, window="block",
                                                   attention_frames=12)),
}
STORE = {"f32": torch.float32, "bf16": torch.bfloat16}


def draw_weights(m, g):
    """Random weights under the checkpoint's names."""
    dim = m["dim"]
    w = {}

    def normal(name, *shape, std=1.0, mean=0.0):
        w[name] = mean + std * torch.randn(*shape, generator=g)

    def linear(name, out, into, gain=1.0):
        normal(name + ".weight", out, into, std=gain * into**-0.5)
        normal(name + ".bias", out, std=0.1)

    normal("patch_embedding.weight", dim, 16, 1, 2, 2, std=0.125)
    normal("patch_embedding.bias", dim, std=0.1)
    linear("text_embedding.0", dim, m["text_dim"])
    linear("text_embedding.2", dim, dim)
    linear("time_embedding.0", dim, m["freq_dim"])
    linear("time_embedding.2", dim, dim)
    linear("time_projection.1", 6 * dim, dim, gain=0.5)
    for i in range(m["num_layers"]):
        b = f"blocks.{i}."
        for a in (b + "self_attn", b + "cross_attn"):
            for part in "qkvo":
                linear(f"{a}.{part}", dim, dim)
            normal(a + ".norm_q.weight", dim, mean=2.5, std=0.3)
            normal(a + ".norm_k.weight", dim, mean=1.0, std=0.3)
        normal(b + "norm3.weight", dim, mean=1.0, std=0.3)
        normal(b + "norm3.bias", dim, std=0.3)
        linear(b + "ffn.0", m["ffn_dim"], dim)
        linear(b + "ffn.2", dim, m["ffn_dim"])
        normal(b + "modulation", 1, 6, dim, std=0.5)
    normal("head.modulation", 1, 2, dim, std=0.5)
    linear("head.head", 64, dim)
    return w


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


@torch.inference_mode()
def make_case(folder, m, case, show):
    g = torch.Generator().manual_seed(zlib.crc32(folder.name.encode()))
    (folder / "model").mkdir(parents=True, exist_ok=True)
    write_json(folder / "case.json", case)
    config = {key: m[key] for key in ("text_len", "dim", "ffn_dim", "freq_dim", "text_dim",
                                      "num_heads", "num_layers")}
    write_json(folder / "model/config.json",
               {"_class_name": "CausalWanModel", "model_type": "t2v", "patch_size": [1, 2, 2],
                "in_dim": 16, "out_dim": 16, **config, "qk_norm": True, "cross_attn_norm": True,
                "eps": 1e-6})
    inputs = draw_inputs(m, case, g)
    save_as(STORE[m["store"]], draw_weights(m, g), folder / "model/diffusion_pytorch_model.safetensors")
    save_as(torch.bfloat16, inputs, folder / "inputs.safetensors")

    inputs = load_file(folder / "inputs.safetensors")
    computed = compute_rolling(case, folder / "model", inputs, torch.float64)
    stored = {name: t.float().contiguous() for name, t in computed.items()
              if not name.startswith("window/") or int(name.split("/")[1]) in show}
    save_file(stored, folder / "expected.safetensors")


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
        m, (case, show) = CASES[name]
        folder = options.out / name
        make_case(folder, m, case, show)
        size = sum(f.stat().st_size for f in folder.rglob("*") if f.is_file())
        print(f"{name}: {size / 1000:.0f} KB")


if __name__ == "__main__":
    main()
