#!/usr/bin/env python3
"""Time `rollmill bench` and PyTorch side by side, as ratios.

    tools/bench_torch.py build/release/rollmill [--threads N] [--size NAME]
                         [--precision f32|bf16] [--rounds N] [--model DIR] [CASE...]
                         [--device cuda [--kernels LEVEL]] [--json FILE]

Every case is timed in turns, ours, PyTorch, ours, PyTorch, each a burst of
about a quarter of a second, so that what else the machine does hits both. The
ratio is PyTorch's time over ours, the median over the rounds: above 1 we are
faster. The cases are those of cmd/bench/bench_cases.c, written as the reference
model's code writes them: F.linear, scaled_dot_product_attention, a causal
convolution as cat, pad and conv3d; what the reference keeps in float32 under
autocast (residual stream, norms, modulation, RoPE) is float32 here.
Convolutions run in both memory formats and the faster one counts. With --model
(a folder by make_model --size bench-small or bench-middle) whole parts are timed
too: a tick of the line, a block through the decoder, a prompt; see bench_model.py.

With --device cuda both compute on the first card, where the size `full` is the 1.3B model's
at 832x480 (make_model --size 1.3b). Of PyTorch's attention kernels (cuDNN's, flash) the
fastest counts, and cuDNN looks for its fastest convolutions. Runs are queued one behind
another for some milliseconds before either waits, so that only the card's time counts.
"""

import argparse
import contextlib
import json
import statistics
import subprocess
import time

import torch
import torch.nn.functional as F

import bench_model

BURST = 0.25  # seconds of one measurement
QUEUE = 0.005  # seconds of runs that are queued before one waits, on a card
SIZES = {
    "small": dict(dim=512, heads=8, ffn=2048, rows=12, cols=20, blocks=7, text_rows=512,
                  text_dim=1024, text_heads=16, text_ffn=2816, words=48, h=24, w=40),
    "middle": dict(dim=1536, heads=12, ffn=8960, rows=20, cols=26, blocks=7, text_rows=512,
                   text_dim=4096, text_heads=64, text_ffn=10240, words=128, h=40, w=52),
    "full": dict(dim=1536, heads=12, ffn=8960, rows=30, cols=52, blocks=7, text_rows=512,
                 text_dim=4096, text_heads=64, text_ffn=10240, words=128, h=60, w=104,
                 roof=(8192, 8192, 8192)),
}
STAGES = 6


class Size:
    def __init__(self, name):
        self.roof = (2048, 1024, 2048)
        self.__dict__.update(SIZES[name])
        self.tokens = 3 * self.rows * self.cols


# ---- parts: each returns a function of no arguments -------------------------------


def rand(dtype, *shape):
    return torch.rand(*shape, dtype=torch.float32).mul_(2).sub_(1).to(dtype)


def linear(t, rows, k, n, bias=True):
    w, b = rand(t, n, k), rand(t, n) if bias else None
    return lambda x: F.linear(x, w, b)


def modulate(s, t):
    scale, shift = rand(torch.float32, 3, 1, s.dim), rand(torch.float32, 3, 1, s.dim)

    def run(x):
        y = F.layer_norm(x, (s.dim,), eps=1e-6).unflatten(0, (3, -1))
        return (y * (1 + scale) + shift).flatten(0, 1).to(t)

    return run


def rms_norm(dim, t):
    weight = rand(t, dim)

    def run(x):
        y = x.float()
        y = y * torch.rsqrt(y.pow(2).mean(dim=-1, keepdim=True) + 1e-6)
        return y.to(t) * weight

    return run


def rope(s, t):
    angles = torch.rand(s.tokens, 1, s.dim // s.heads // 2, dtype=torch.float64)
    turns = torch.polar(torch.ones_like(angles), angles)

    def run(x):
        y = torch.view_as_complex(x.to(torch.float64).reshape(s.tokens, s.heads, -1, 2))
        return torch.view_as_real(y * turns).flatten(1).to(t)

    return run


def attend(heads):
    def run(q, k, v, bias=None, scale=None):
        q, k, v = (x.unflatten(1, (heads, -1)).transpose(0, 1).unsqueeze(0) for x in (q, k, v))
        y = F.scaled_dot_product_attention(q, k, v, attn_mask=bias, scale=scale)
        return y.squeeze(0).transpose(0, 1).flatten(1)

    return run


def add_linear(t, rows, k, n, gates):
    product, gate = linear(t, rows, k, n, bias=gates), rand(torch.float32, 3, 1, n)

    def run(residual, x):
        y = product(x)
        if gates:
            y = (y.unflatten(0, (3, -1)) * gate).flatten(0, 1)
        return residual + y

    return run


def layout(x, channels_last):
    formats = {4: torch.channels_last, 5: torch.channels_last_3d}
    return x.contiguous(memory_format=formats[x.dim()]) if channels_last else x


def causal(t, cin, cout, kernel, last):
    w, b = layout(rand(t, cout, cin, *kernel), last), rand(t, cout)
    side = kernel[1] // 2

    def run(past, x):
        x = F.pad(torch.cat([past, x], dim=2), (side,) * 4 + (0, 0))
        return F.conv3d(x, w, b)

    return run


def silu_norm(t, c):
    gamma = rand(t, c, 1, 1, 1)
    return lambda x: F.silu(F.normalize(x, dim=1) * c**0.5 * gamma)


# ---- cases: a list of variants, the fastest counts ----------------------------------


def roof(s, t):
    rows, k, n = s.roof
    x, f = rand(t, rows, k), linear(t, rows, k, n, bias=False)
    return [lambda: f(x)]


def dit_modulate(s, t):
    x, f = rand(torch.float32, s.tokens, s.dim), modulate(s, t)
    return [lambda: f(x)]


def dit_project(s, t):
    x, f = rand(t, s.tokens, s.dim), linear(t, s.tokens, s.dim, s.dim)
    return [lambda: f(x)]


def dit_norm_rope(s, t):
    x, norm, turn = rand(t, s.tokens, s.dim), rms_norm(s.dim, t), rope(s, t)
    return [lambda: turn(norm(x))]


def best_kernels(f):
    """f as it is; on a card once for each attention kernel that PyTorch has for it."""
    if not torch.empty(0).is_cuda:
        return [f]
    from torch.nn.attention import SDPBackend, sdpa_kernel

    def by(kernel):
        def run():
            with sdpa_kernel(kernel):
                return f()

        return run

    variants = []
    for kernel in (SDPBackend.CUDNN_ATTENTION, SDPBackend.FLASH_ATTENTION):
        with contextlib.suppress(RuntimeError):  # it has none for these shapes
            by(kernel)()
            variants.append(by(kernel))
    return variants or [f]


def attention_over(s, t, queries, keys):
    q, k, v = rand(t, queries, s.dim), rand(t, keys, s.dim), rand(t, keys, s.dim)
    f = attend(s.heads)
    return best_kernels(lambda: f(q, k, v))


def dit_attention(s, t):
    return attention_over(s, t, s.tokens, s.blocks * s.tokens)


def dit_attention_all(s, t):
    return attention_over(s, t, STAGES * s.tokens, s.blocks * s.tokens)


def dit_cross(s, t):
    return attention_over(s, t, s.tokens, s.text_rows)


def dit_output(s, t):
    x, residual = rand(t, s.tokens, s.dim), rand(torch.float32, s.tokens, s.dim)
    f = add_linear(t, s.tokens, s.dim, s.dim, True)
    return [lambda: f(residual, x)]


def ffn(s, t):
    norm, up = modulate(s, t), linear(t, s.tokens, s.dim, s.ffn)
    down = add_linear(t, s.tokens, s.ffn, s.dim, True)
    return lambda x: down(x, F.gelu(up(norm(x)), approximate="tanh"))


def dit_ffn(s, t):
    x, f = rand(torch.float32, s.tokens, s.dim), ffn(s, t)
    return [lambda: f(x)]


def dit_layer(s, t):
    x = rand(torch.float32, s.tokens, s.dim)
    keys, values = (rand(t, s.blocks * s.tokens, s.dim) for _ in range(2))
    norm, q, k, v = modulate(s, t), *(linear(t, s.tokens, s.dim, s.dim) for _ in range(3))
    norm_q, norm_k, turn = rms_norm(s.dim, t), rms_norm(s.dim, t), rope(s, t)
    attention, out, mlp = attend(s.heads), add_linear(t, s.tokens, s.dim, s.dim, True), ffn(s, t)

    def run():
        y = norm(x)
        v(y)
        turn(norm_k(k(y)))
        return mlp(out(x, attention(turn(norm_q(q(y))), keys, values)))

    return best_kernels(run)


def conv_case(t, frames, h, w, cin, cout, kernel=(3, 3, 3)):
    def variant(last):
        past, x = (layout(rand(t, 1, cin, n, h, w), last) for n in (2, frames))
        f = causal(t, cin, cout, kernel, last)
        return lambda: f(past, x)

    return [variant(False), variant(True)]


def vae_conv_384(s, t):
    return conv_case(t, 1, s.h, s.w, 384, 384)


def vae_conv_192(s, t):
    return conv_case(t, 4, 4 * s.h, 4 * s.w, 192, 192)


def vae_conv_96(s, t):
    return conv_case(t, 4, 8 * s.h, 8 * s.w, 96, 96)


def vae_norm_silu(s, t):
    def variant(last):
        x, f = layout(rand(t, 1, 96, 4, 8 * s.h, 8 * s.w), last), silu_norm(t, 96)
        return lambda: f(x)

    return [variant(False), variant(True)]


def vae_residual(s, t):
    def variant(last):
        x, past = (layout(rand(t, 1, 192, n, 4 * s.h, 4 * s.w), last) for n in (4, 2))
        norm1, norm2 = silu_norm(t, 192), silu_norm(t, 192)
        conv1, conv2 = (causal(t, 192, 192, (3, 3, 3), last) for _ in range(2))
        return lambda: x + conv2(past, norm2(conv1(past, norm1(x))))

    return [variant(False), variant(True)]


def vae_double(s, t):
    def variant(last):
        x = layout(rand(t, 4, 192, 2 * s.h, 2 * s.w), last)
        w, b = layout(rand(t, 96, 192, 3, 3), last), rand(t, 96)

        def run():
            y = F.interpolate(x.float(), scale_factor=2.0, mode="nearest-exact").to(t)
            return F.conv2d(y, w, b, padding=1)

        return run

    return [variant(False), variant(True)]


def vae_time(s, t):
    return conv_case(t, 1, s.h, s.w, 384, 768, (3, 1, 1))


def vae_attention(s, t):
    q, k, v = (rand(t, s.h * s.w, 384) for _ in range(3))
    f = attend(1)
    return [lambda: f(q, k, v)]


def vae_head(s, t):
    return conv_case(t, 4, 8 * s.h, 8 * s.w, 96, 3)


def text_attention(s, t):
    q, k, v = (rand(t, s.words, s.text_dim) for _ in range(3))
    bias, f = rand(t, 1, s.text_heads, s.words, s.words), attend(s.text_heads)
    return [lambda: f(q, k, v, bias, 1.0)]


def text_layer(s, t):
    n, d, m = s.words, s.text_dim, s.text_ffn
    x, bias = rand(torch.float32, n, d), rand(t, 1, s.text_heads, n, n)
    q, k, v = (linear(t, n, d, d, bias=False) for _ in range(3))
    gate, up = (linear(t, n, d, m, bias=False) for _ in range(2))
    out, down = add_linear(t, n, d, d, False), add_linear(t, n, m, d, False)
    norm1, norm2, attention = rms_norm(d, t), rms_norm(d, t), attend(s.text_heads)

    def run():
        y = norm1(x)
        z = out(x, attention(q(y), k(y), v(y), bias, 1.0))
        y = norm2(z)
        return down(z, up(y) * F.gelu(gate(y), approximate="tanh"))

    return [run]


CASES = {
    "roof": roof,
    "dit.modulate": dit_modulate,
    "dit.project": dit_project,
    "dit.norm-rope": dit_norm_rope,
    "dit.attention": dit_attention,
    "dit.attention-all": dit_attention_all,
    "dit.cross": dit_cross,
    "dit.output": dit_output,
    "dit.ffn": dit_ffn,
    "dit.layer": dit_layer,
    "vae.conv-384": vae_conv_384,
    "vae.conv-192": vae_conv_192,
    "vae.conv-96": vae_conv_96,
    "vae.norm-silu": vae_norm_silu,
    "vae.residual": vae_residual,
    "vae.double": vae_double,
    "vae.time": vae_time,
    "vae.attention": vae_attention,
    "vae.head": vae_head,
    "text.attention": text_attention,
    "text.layer": text_layer,
}


# ---- timing ---------------------------------------------------------------------------


def time_runs(f, n):
    """Seconds of one of n runs; on a card they are queued, and waited for once."""
    start = time.perf_counter()
    for _ in range(n):
        f()
    if torch.empty(0).is_cuda:
        torch.cuda.synchronize()
    return (time.perf_counter() - start) / n


def burst(f):
    """Median milliseconds of one burst, after runs that are not counted."""
    time_runs(f, 1)
    queued = 1
    if torch.empty(0).is_cuda:
        queued = max(1, min(64, int(QUEUE / time_runs(f, 1))))
    runs, end = [], time.perf_counter() + BURST
    while not runs or (len(runs) < 200 and time.perf_counter() < end):
        runs.append(time_runs(f, queued))
    return statistics.median(runs) * 1e3


class Ours:
    """`rollmill bench --on-demand`: a case's name in, its time out."""

    def __init__(self, program, args):
        command = [program, "bench", "--on-demand", "--size", args.size, "--precision",
                   args.precision, "--threads", str(args.threads)]
        command += ["--model", args.model] if args.model else []
        command += ["--backend", args.device]
        command += ["--kernels", args.kernels] if args.kernels else []
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        stderr=subprocess.DEVNULL, text=True)

    def time(self, name):
        self.process.stdin.write(name + "\n")
        self.process.stdin.flush()
        answer = self.process.stdout.readline()
        if not answer:
            raise SystemExit(f"{name}: rollmill bench ended; run it by hand to see why")
        return json.loads(answer)

    def close(self):
        self.process.stdin.close()
        self.process.wait()


def compare(name, ours, variants, rounds):
    best = min(variants, key=burst) if len(variants) > 1 else variants[0]
    if name in bench_model.SIZES:
        rounds = min(rounds, 3)  # each of ours is several runs
    mine, theirs = [], []
    for _ in range(rounds):
        mine.append(ours.time(name))
        theirs.append(burst(best))
    ratio = statistics.median(t / m["ms"] for m, t in zip(mine, theirs))
    ms = statistics.median(m["ms"] for m in mine)
    gflop = mine[0]["gflop"]
    return ms, statistics.median(theirs), ratio, gflop


def variants_of(name, args):
    """What PyTorch has to offer for a case."""
    if name in bench_model.SIZES:
        variants = [f for _, f, _ in bench_model.rows(name, args.size, args.precision)]
        return best_kernels(variants[0]) if name == "tick" else variants
    return CASES[name](Size(args.size), bench_model.PRECISION[args.precision])


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("program")
    parser.add_argument("cases", nargs="*", default=[])
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--size", choices=SIZES, default="small")
    parser.add_argument("--precision", choices=["f32", "bf16"], default="bf16")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--model")
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    parser.add_argument("--kernels", choices=["1", "2", "3", "4"], help="of cuda; see rollmill bench")
    parser.add_argument("--json", help="a file to which each case is written as a line, too")
    args = parser.parse_intermixed_args()

    torch.set_num_threads(args.threads)
    torch.set_grad_enabled(False)
    torch.set_default_device(args.device)
    torch.backends.cudnn.benchmark = True
    torch.manual_seed(0)
    ours, roof_rate = Ours(args.program, args), 0
    where = f"{args.threads} threads"
    if args.device == "cuda":
        where = f"{torch.cuda.get_device_name(0)}, CUDA {torch.version.cuda}"
    print(f"{args.size}, {args.precision}, {where}, PyTorch {torch.__version__}")
    print(f"{'':16} {'ours ms':>10} {'PyTorch ms':>11} {'ratio':>6} {'GFLOP/s':>8} {'of roof':>7}")
    for name in args.cases or [*CASES, *(bench_model.SIZES if args.model else [])]:
        ms, theirs, ratio, gflop = compare(name, ours, variants_of(name, args), args.rounds)
        rate = gflop / ms * 1e3
        roof_rate = rate if name == "roof" else roof_rate
        share = f"{rate / roof_rate:7.0%}" if roof_rate and gflop else ""
        flops = f"{rate:8.0f}" if gflop else " " * 8
        print(f"{name:16} {ms:10.3f} {theirs:11.3f} {ratio:6.2f} {flops} {share}", flush=True)
        if args.json:
            with open(args.json, "a") as file:
                row = {"name": name, "ms": ms, "torch_ms": theirs, "ratio": ratio, "gflop": gflop}
                print(json.dumps(row), file=file)
    ours.close()


if __name__ == "__main__":
    main()
