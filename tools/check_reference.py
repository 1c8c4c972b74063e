#!/usr/bin/env python3
"""Run golden cases through the reference: `check_reference.py CASE... [--double]`.

Prints `case tensor max_abs rel_l2` for every expected tensor; exit 1 if one is off
by more than the tolerance. --double computes in float64 whatever was recorded.
"""

import argparse
import json
import pathlib
import sys

import torch
from safetensors.torch import load_file

from reference import text, transformer, vae
from reference.jitter import head_bases
from reference.schedule import make_schedule
from reference.window import Clip, Policy, run_blocks, run_rolling


def compute_rolling(case, model, inputs, dtype):
    """Everything a rolling or block-by-block case may expect, by name."""
    shape = transformer.read_shape(model / "config.json")
    weights = load_file(model / "diffusion_pytorch_model.safetensors")
    weights = {name: t.to(dtype) for name, t in weights.items()}
    schedule = make_schedule(case["steps"], case["warp"], case["timestep_shift"])
    policy = Policy(case.get("window", "rolling"), case["frames_per_block"],
                    case["attention_frames"], case["sink_blocks"],
                    case.get("keep_sink_on_switch", True))
    noise = inputs["noise"][:case["latent_frames"]].to(dtype)
    bases = [transformer.ROPE_BASE]
    if case.get("policy") == "lol":
        bases = head_bases(shape.heads, case["jitter"], case["jitter_seed"])
    clip = Clip(weights, shape, inputs["prompt_embeds"].to(dtype), *noise.shape[2:], bases)
    switches = {s["from_frame"]: inputs[s["prompt_embeds"]].to(dtype)
                for s in case.get("prompt_switches", [])}
    out = {"timesteps": schedule.timesteps, "sigmas": schedule.sigmas}

    def renoise(block, level):
        return inputs[f"renoise/{block}/{level}"].to(dtype)

    def tap(step, tensors):
        out.update({f"window/{step}/{what}": t for what, t in tensors.items()})

    if policy.window == "block":
        out["latents"] = run_blocks(clip, schedule, policy, noise, renoise, switches)
    else:
        out["latents"] = run_rolling(clip, schedule, policy, noise, renoise, tap)
    return out


def compute_vae(case, model, inputs, dtype):
    weights = torch.load(model / "Wan2.1_VAE.pth", weights_only=True)
    weights = {name: t.to(dtype) for name, t in weights.items()}
    return {"decoded": vae.decode(weights, inputs["latents"].to(dtype)),
            "encoded": vae.encode(weights, inputs["pixels"].to(dtype))}


def compute_text(case, model, inputs, dtype):
    weights = torch.load(model / "models_t5_umt5-xxl-enc-bf16.pth", weights_only=True)
    weights = {name: t.to(dtype) for name, t in weights.items()}
    rows = torch.zeros(*inputs["ids"].shape, case["dim"], dtype=dtype)
    for row, ids, n in zip(rows, inputs["ids"], inputs["lengths"]):
        row[:n] = text.encode(weights, ids[:n])
    return {"prompt_embeds": rows}


COMPUTE = {"rolling": compute_rolling, "vae": compute_vae, "text": compute_text}


@torch.inference_mode()
def compute_case(folder, dtype):
    """(expected, computed) tensors by name."""
    case = json.loads((folder / "case.json").read_text())
    of = folder.parent / case.get("shares", folder.name)
    inputs = load_file(of / "inputs.safetensors")
    computed = COMPUTE[case["kind"]](case, of / "model", inputs, dtype)
    return load_file(folder / "expected.safetensors"), computed


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("case", nargs="+", type=pathlib.Path)
    parser.add_argument("--double", action="store_true", help="compute in float64")
    parser.add_argument("--tolerance", type=float, default=5e-6, help="relative L2")
    options = parser.parse_args()
    bad = 0

    for folder in options.case:
        expected, computed = compute_case(folder, torch.float64 if options.double else torch.float32)
        for name, want in expected.items():
            error = computed[name].double() - want.double()
            relative = (error.norm() / want.double().norm()).item()
            over = not relative <= options.tolerance
            bad += over
            print(f"{folder.name} {name} {error.abs().max():.3e} {relative:.3e}{'  OVER' * over}")
    return bad > 0


if __name__ == "__main__":
    sys.exit(main())
