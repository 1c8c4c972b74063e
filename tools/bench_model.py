#!/usr/bin/env python3
"""Time tools/reference with PyTorch: the peer of `rollmill bench`.

Prints one JSON line per row: row, size, precision, seconds (median), runs, flop,
threads; for the VAE the tensor layout too. The program prints the same rows, with
the same sizes and the same flop whatever it saves of them.

tick       One step of the line in the steady state, 5 noise stages and the clean
           one in lockstep: B = 3 frames per block, so 18 frames, 512 rows of text,
           whose keys and values are there already. A noise stage attends to sink,
           recent (this tick's clean block) and the window, the clean stage to 6
           older clean blocks and itself: 7 blocks each.
             small   dim 512, ffn 2048, 8 heads, 4 layers, latent 30x52
             middle  dim 1536, ffn 8960, 12 heads, 2 layers, latent 30x52
             full    the same with 30 layers, latent 60x104
           With T = (h/2)(w/2), n = 18 T, k = 21 T, d = dim, f = ffn:
             flop = 2 n 128 d + layers (n (12 d^2 + 4 d f) + 4 n d (k + 512)), the time
             embedding (below 1 %) left out
vae-block  3 latent frames -> 12 pictures in the middle of a clip, of the same latents
             small   base width 32
             middle  base width 96
             full    base width 96
           flop: 2 per multiplication of every convolution, 1x1 to 3x3x3, as the
           checkpoint defines it (full 3x3 after nearest upsampling, zeros of the
           padding included), and 4 (hw)^2 c per frame for the attention; `vae_flop`.
text       One prompt through the UMT5 encoder.
             small   dim 512, ffn 1024, 8 heads, 4 layers, 64 tokens
             middle  dim 4096, ffn 10240, 64 heads, 2 layers, 128 tokens
             full    the same with 24 layers
           flop = layers (n (8 d^2 + 6 d f) + 4 n^2 d)

bf16 means weights and activations. RoPE is in float32, which is quicker than the
released code's float64.
"""

import argparse
import json
import statistics
import time

import torch

from draw_weights import draw_transformer, draw_vae, model
from reference import text, transformer, vae

BLOCK, WINDOW, SPAN, TEXT_LEN = 3, 5, 7, 512  # frames; blocks; blocks; rows
LATENT = {"small": (30, 52), "middle": (30, 52), "full": (60, 104)}
PRECISION = {"f32": torch.float32, "bf16": torch.bfloat16}
LAYOUT = {"default": torch.contiguous_format, "channels-last": torch.channels_last_3d}
SIZES = {
    "tick": {"small": dict(dim=512, heads=8, ffn_dim=2048, layers=4),
             "middle": dict(dim=1536, heads=12, ffn_dim=8960, layers=2),
             "full": dict(dim=1536, heads=12, ffn_dim=8960, layers=30)},
    "vae-block": {"small": dict(base=32), "middle": dict(base=96), "full": dict(base=96)},
    "text": {"small": dict(dim=512, ffn=1024, heads=8, layers=4, tokens=64),
             "middle": dict(dim=4096, ffn=10240, heads=64, layers=2, tokens=128),
             "full": dict(dim=4096, ffn=10240, heads=64, layers=24, tokens=128)},
}


def generator():
    """Of the device on which tensors are made."""
    return torch.Generator(torch.empty(0).device)


def measure(f, repeats, budget):
    """Median seconds of f and how often it was timed. The first call warms up, and
    counts only if it alone exceeds the budget of seconds."""
    times = []
    for i in range(repeats + 1):
        start = time.perf_counter()
        f()
        times.append(time.perf_counter() - start)
        if sum(times) > budget:
            break
    timed = times[1:] or times
    return statistics.median(timed), len(timed)


def tick_flop(s):
    h, w = s["latent"]
    tokens = h // 2 * (w // 2)
    n, keys, d = (WINDOW + 1) * BLOCK * tokens, SPAN * BLOCK * tokens, s["dim"]
    layer = n * (12 * d * d + 4 * d * s["ffn_dim"]) + 4 * n * d * (keys + TEXT_LEN)
    return 2 * n * 128 * d + s["layers"] * layer


def tick(s, dtype):
    """A function that runs one tick."""
    m = model(s["dim"], s["heads"], layers=s["layers"], ffn_dim=s["ffn_dim"], freq_dim=256,
              text_dim=256, text_len=TEXT_LEN)
    w = {name: t.to(dtype) for name, t in draw_transformer(m, generator()).items()}
    shape = transformer.Shape(s["dim"], s["ffn_dim"], 256, 256, TEXT_LEN, s["heads"], s["layers"])
    rows, columns = (x // 2 for x in s["latent"])
    block = BLOCK * rows * columns

    def angles(first, blocks):
        frames = range(first * BLOCK, (first + blocks) * BLOCK)
        return transformer.rope_angles(shape.head_dim, frames, rows, columns)

    def history(blocks):
        return torch.randn(blocks * block, shape.heads, shape.head_dim).to(dtype)

    clean_block = 20
    own, sink_at = angles(clean_block, WINDOW + 1), angles(clean_block - 1, 1)
    text_keys = transformer.embed_text(w, shape, torch.randn(TEXT_LEN, 256).to(dtype))
    past = [(history(SPAN - 1), history(SPAN - 1)) for _ in range(shape.layers)]
    sink = [(history(1), history(1)) for _ in range(shape.layers)]

    def attend(i, q, k, v):
        q, k = transformer.rotate(q, own), transformer.rotate(k, own)
        clean = transformer.attention(q[:block], torch.cat([past[i][0], k[:block]]),
                                      torch.cat([past[i][1], v[:block]]))
        sink_keys = transformer.rotate(sink[i][0], sink_at)
        noise = transformer.attention(q[block:], torch.cat([sink_keys, k]),
                                      torch.cat([sink[i][1], v]))
        return torch.cat([clean, noise])

    latent = torch.randn((WINDOW + 1) * BLOCK, 16, *s["latent"]).to(dtype)
    timestep = torch.tensor([0.0, 555.6, 769.2, 882.4, 952.4, 1000.0]).repeat_interleave(BLOCK)
    return lambda: transformer.forward(w, shape, latent, timestep, text_keys, attend)


def vae_flop(s):
    base = s["base"]
    (h, w), c1, c2, c4 = s["latent"], base, 2 * base, 4 * base

    def residual(into, out):
        return 27 * (into * out + out * out) + (into != out) * into * out

    def at(scale, frames, per_position):
        return 2 * frames * h * w * scale**2 * per_position

    small, middle, large = BLOCK, 2 * BLOCK, 4 * BLOCK  # frames
    return (at(1, small, 16 * 16 + 27 * 16 * c4 + 5 * residual(c4, c4) + 4 * c4 * c4)
            + 4 * small * (h * w)**2 * c4
            + at(1, small, 3 * c4 * 2 * c4) + at(2, middle, 9 * c4 * c2)
            + at(2, middle, residual(c2, c4) + 2 * residual(c4, c4))
            + at(2, middle, 3 * c4 * 2 * c4) + at(4, large, 9 * c4 * c2)
            + at(4, large, 3 * residual(c2, c2)) + at(8, large, 9 * c2 * c1)
            + at(8, large, 3 * residual(c1, c1) + 27 * c1 * 3))


def vae_block(s, dtype, layout):
    """A function that decodes the next 3 frames of a clip."""
    def place(t):
        return t.to(dtype).contiguous(memory_format=layout) if t.dim() == 5 else t.to(dtype)

    w = {name: place(t) for name, t in draw_vae(s["base"], generator()).items()}
    state = vae.State()
    vae.decode_piece(w, place(torch.randn(1, 16, 1, *s["latent"])), state)
    z = place(torch.randn(1, 16, BLOCK, *s["latent"]))
    return lambda: vae.decode_piece(w, z, state)


def text_flop(s):
    n, d = s["tokens"], s["dim"]
    return s["layers"] * (n * (8 * d * d + 6 * d * s["ffn"]) + 4 * n * n * d)


def text_prompt(s, dtype):
    """A function that encodes one prompt."""
    vocabulary, buckets, d = 1024, 32, s["dim"]

    def normal(out, into):
        return (torch.randn(out, into) * into**-0.5).to(dtype)

    w = {"token_embedding.weight": normal(vocabulary, d), "norm.weight": torch.ones(d).to(dtype)}
    for i in range(s["layers"]):
        b = f"blocks.{i}."
        for part in "qkvo":
            w[f"{b}attn.{part}.weight"] = normal(d, d)
        for part in ("ffn.gate.0", "ffn.fc1"):
            w[f"{b}{part}.weight"] = normal(s["ffn"], d)
        w[b + "ffn.fc2.weight"] = normal(d, s["ffn"])
        w[b + "pos_embedding.embedding.weight"] = normal(buckets, s["heads"])
        for norm in ("norm1", "norm2"):
            w[f"{b}{norm}.weight"] = torch.ones(d).to(dtype)
    ids = torch.randint(vocabulary, (s["tokens"],))
    return lambda: text.encode(w, ids)


def rows(row, size, precision):
    """(extra keys, function to time, flop) of each line that a row prints."""
    s, dtype = {**SIZES[row][size], "latent": LATENT[size]}, PRECISION[precision]
    if row == "tick":
        yield {}, tick(s, dtype), tick_flop(s)
    elif row == "text":
        yield {}, text_prompt(s, dtype), text_flop(s)
    else:
        for name, layout in LAYOUT.items():
            yield {"layout": name}, vae_block(s, dtype, layout), vae_flop(s)


@torch.inference_mode()
def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])

    def choice(name, values):
        parser.add_argument(name, nargs="+", choices=list(values), default=list(values))

    choice("--rows", SIZES)
    choice("--sizes", ("small", "middle"))
    choice("--precisions", PRECISION)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--budget", type=float, default=60, help="seconds for one line")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)

    for row in options.rows:
        for size in options.sizes:
            for precision in options.precisions:
                for extra, f, flop in rows(row, size, precision):
                    seconds, runs = measure(f, options.repeats, options.budget)
                    print(json.dumps({"row": row, "size": size, "precision": precision, **extra,
                                      "seconds": round(seconds, 4), "runs": runs, "flop": flop,
                                      "threads": options.threads}), flush=True)


if __name__ == "__main__":
    main()
