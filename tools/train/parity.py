"""Cases for `rollmill verify` from the exported model: does the program compute what the trainer's
networks do?

Writes case folders (rolling, by block, vae, text) of the exported weights with noise and results of
this package's own networks in float32.
"""

import json
import os
import shutil

import torch
from safetensors.torch import save_file

from . import captions, flow, run
from .adopt import read_model
from .bank import pick_captions
from .export import DEVIATION, MEAN
from .nets.text import encode_text
from .nets.transformer import Transformer
from .nets.vae import Vae
from .rollout import Policy, Rollout
from .tokens import Tokenizer

BLOCKS = 12


def write_case(path, case, model, inputs, expected):
    """model: files of the exported folder by their names in the case."""
    shutil.rmtree(path, ignore_errors=True)
    (path / "model").mkdir(parents=True)
    (path / "case.json").write_text(json.dumps(case, indent=1) + "\n")
    for name, source in model.items():
        if isinstance(source, dict):
            save_file(source, path / "model" / name)
        else:
            os.symlink(source, path / "model" / name)
    save_file({k: t.contiguous() for k, t in inputs.items()}, path / "inputs.safetensors")
    save_file(
        {k: t.float().contiguous() for k, t in expected.items()}, path / "expected.safetensors"
    )


@torch.no_grad()
def train(plan, device, minutes):
    model, path = run.folder(plan, "export") / "model", run.folder(plan, "parity")
    tokenizer, g = Tokenizer(plan), torch.Generator().manual_seed(1)
    titles = pick_captions(4, plan.simple)
    ids = tokenizer.ids(titles)
    weights = read_model(model)
    embedded = encode_text(weights["text"], ids)
    dit = weights["dit"]
    h, w = plan.height // 8, plan.width // 8

    net = Transformer(dit, plan.heads, plan.freq_dim)
    noise = torch.randn(BLOCKS * plan.block, 16, h, w, generator=g)
    eps = {
        (b, k): torch.randn(plan.block, 16, h, w, generator=g)
        for b in range(BLOCKS)
        for k in range(1, len(plan.steps))
    }
    inputs = {
        "noise": noise,
        "prompt_embeds": embedded[0],
        **{f"renoise/{b}/{k}": e for (b, k), e in eps.items()},
    }
    for window, sink in (("rolling", 1), ("block", 0)):
        roll = Rollout(
            net,
            net.text(embedded[:1]),
            flow.levels(plan),
            Policy(plan.block, plan.span),
            lambda b, k, like: eps[b, k][None],
        )
        out = torch.cat(
            roll.rolling(noise[None]) if window == "rolling" else roll.by_block(noise[None]), 1
        )[0]
        case = dict(
            kind="rolling",
            window=window,
            steps=plan.steps,
            warp=True,
            timestep_shift=plan.shift,
            frames_per_block=plan.block,
            latent_frames=len(noise),
            latent_height=h,
            latent_width=w,
            sink_blocks=sink,
            attention_frames=plan.span,
        )
        files = {
            "config.json": model / "config.json",
            "diffusion_pytorch_model.safetensors": {k: t.bfloat16() for k, t in dit.items()},
        }
        write_case(path / window, case, files, inputs, {"latents": out})

    vae = Vae(weights["vae"])
    m, d = (torch.tensor(c)[:, None, None] for c in (MEAN, DEVIATION))
    z = out[:6]
    y = vae.decode((z * d + m)[None].transpose(1, 2))[0].transpose(0, 1).clamp(-1, 1)
    pixels = torch.rand(len(y), 3, 8 * h, 8 * w, generator=g) * 2 - 1
    back = (vae.encode(pixels.transpose(0, 1)[None])[0][0].transpose(0, 1) - m) / d
    case = dict(
        kind="vae", dim=plan.vae_width, latent_frames=len(z), latent_height=h, latent_width=w
    )
    write_case(
        path / "vae",
        case,
        {"Wan2.1_VAE.pth": model / "Wan2.1_VAE.pth"},
        {"latents": z, "pixels": pixels},
        {"decoded": y, "encoded": back},
    )

    case = dict(
        kind="text",
        vocab=tokenizer.size(),
        dim=plan.text_dim,
        dim_attn=plan.text_dim,
        ffn_dim=2 * plan.text_dim,
        heads=plan.text_heads,
        layers=plan.text_layers,
        text_len=plan.text_len,
        buckets=32,
    )
    name = "models_t5_umt5-xxl-enc-bf16.pth"
    write_case(
        path / "text",
        case,
        {name: model / name},
        {"ids": ids, "lengths": (ids != 0).sum(1)},
        {"prompt_embeds": embedded},
    )

    prompts = [captions.of_seed(seed) for seed in range(100)]
    rows = [
        dict(prompt=p, clean=p, ids=[i for i in row.tolist() if i])
        for p, row in zip(prompts, tokenizer.ids(prompts))
    ]
    write_case(
        path / "tokenizer", dict(kind="tokenizer", text_len=plan.text_len, cases=rows), {}, {}, {}
    )
    (path / "tokenizer/model/google/umt5-xxl").mkdir(parents=True)
    shutil.copy(model / "google/umt5-xxl/spiece.model", path / "tokenizer/model/google/umt5-xxl")
    print(f"rollmill verify {path}/*", flush=True)
    return True
