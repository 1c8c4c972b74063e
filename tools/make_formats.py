#!/usr/bin/env python3
"""Write tests/formats: small checkpoints by the libraries whose forms they are.

    python3 -m pip install numpy safetensors==0.8.0 gguf==0.17.1 torch
    python3 tools/make_formats.py tests/formats

Needed only to make the files again; the tests read what is committed. Values are random, names
and shapes are real ones at a tiny size:

  gguf-types.gguf           a tensor of each GGUF type that is read, one folded, one of a type that is not
  gguf-types.safetensors    the same numbers, as the gguf package gives them
  NAME-release.safetensors  the names of the Wan release: dit, vae, text
  dit-diffusers, text-hf    shards with an index, the names of diffusers and of Transformers
  vae-diffusers.safetensors
  text.gguf                 the names that the gguf package gives T5
  umt5.safetensors          a whole small encoder in BF16; umt5-fp8.safetensors: its linear layers in FP8, umt5-fp8-scaled
                            with scales as ComfyUI writes them; umt5-q8_0.gguf: all matrices in Q8_0
  scaled.safetensors        FP8 and I8 with scales in every form; scaled-wanted.safetensors: the numbers
  scaled.pt                 the same by torch, whose FP8 tensors lie in storages of bytes
"""
import json
import os
import sys

import gguf
import numpy as np
import safetensors.torch
import torch
from gguf import GGMLQuantizationType as Type
from safetensors.numpy import save_file

rng = np.random.default_rng(7)


def values(*shape):
    return rng.standard_normal(shape).astype(np.float32)


# ---- GGUF types ---------------------------------------------------------------------------------

def random_blocks(rows, blocks, of):
    """Raw blocks of a K type: any bytes, with halves that are small finite numbers."""
    size = {Type.Q4_K: 144, Type.Q5_K: 176, Type.Q6_K: 210}[of]
    raw = rng.integers(0, 256, (rows, blocks, size), dtype=np.uint8)
    halves = [208] if of == Type.Q6_K else [0, 2]
    for at in halves:
        half = (rng.standard_normal((rows, blocks)) * 0.01).astype(np.float16)
        raw[:, :, at:at + 2] = half.view(np.uint8).reshape(rows, blocks, 2)
    return raw.reshape(rows, blocks * size)


def write_types(folder):
    w = gguf.GGUFWriter(f"{folder}/gguf-types.gguf", "wan")
    wanted = {}
    w.add_name("types")
    w.add_array("a.list", ["of", "texts"])
    w.add_custom_alignment(64)

    def add(name, data, of=None, shape=None):
        w.add_tensor(name, data, raw_dtype=of)
        back = gguf.dequantize(data, of) if of else data
        wanted[name] = np.ascontiguousarray(back.reshape(shape or back.shape), dtype=np.float32)

    add("f32", values(3, 5))
    half = values(4, 6).astype(np.float16)
    w.add_tensor("f16", half)
    wanted["f16"] = half.astype(np.float32)
    add("bf16", gguf.quantize(values(2, 8), Type.BF16), Type.BF16)
    add("q8_0", gguf.quantize(values(3, 64), Type.Q8_0), Type.Q8_0)
    add("q4_k", random_blocks(2, 2, Type.Q4_K), Type.Q4_K)
    add("q5_k", random_blocks(2, 2, Type.Q5_K), Type.Q5_K)
    add("q6_k", random_blocks(2, 2, Type.Q6_K), Type.Q6_K)
    w.add_array("comfy.gguf.orig_shape.folded", [16, 4, 1, 2, 2])
    add("folded", gguf.quantize(values(1, 256), Type.Q8_0), Type.Q8_0, (16, 4, 1, 2, 2))
    w.add_tensor("q5_0", gguf.quantize(values(1, 32), Type.Q5_0), raw_dtype=Type.Q5_0)
    w.write_header_to_file()
    w.write_kv_data_to_file()
    w.write_tensors_to_file()
    w.close()
    save_file(wanted, f"{folder}/gguf-types.safetensors")


# ---- names --------------------------------------------------------------------------------------

def write_shards(tensors, folder, stem, shards=2):
    os.makedirs(folder, exist_ok=True)
    names = sorted(tensors)
    where = {}
    for i in range(shards):
        file = f"{stem}-{i + 1:05d}-of-{shards:05d}.safetensors"
        part = names[i::shards]
        save_file({n: tensors[n] for n in part}, f"{folder}/{file}")
        where.update({n: file for n in part})
    index = {"metadata": {"total_size": sum(t.nbytes for t in tensors.values())}, "weight_map": where}
    with open(f"{folder}/{stem}.safetensors.index.json", "w") as f:
        json.dump(index, f, indent=1)


def dit_names(layers=2):
    """(release, diffusers) of every layer and parameter."""
    linear = [("time_embedding.0", "condition_embedder.time_embedder.linear_1"),
              ("time_embedding.2", "condition_embedder.time_embedder.linear_2"),
              ("text_embedding.0", "condition_embedder.text_embedder.linear_1"),
              ("text_embedding.2", "condition_embedder.text_embedder.linear_2"),
              ("time_projection.1", "condition_embedder.time_proj"),
              ("patch_embedding", "patch_embedding"), ("head.head", "proj_out")]
    plain = [("head.modulation", "scale_shift_table")]
    for i in range(layers):
        b = f"blocks.{i}."
        for ours, theirs in (("self_attn", "attn1"), ("cross_attn", "attn2")):
            linear += [(f"{b}{ours}.{x}", f"{b}{theirs}.to_{x}") for x in "qkv"]
            linear += [(f"{b}{ours}.o", f"{b}{theirs}.to_out.0")]
            plain += [(f"{b}{ours}.norm_{x}.weight", f"{b}{theirs}.norm_{x}.weight") for x in "qk"]
        linear += [(f"{b}ffn.0", f"{b}ffn.net.0.proj"), (f"{b}ffn.2", f"{b}ffn.net.2"),
                   (f"{b}norm3", f"{b}norm2")]
        plain += [(f"{b}modulation", f"{b}scale_shift_table")]
    return plain + [(a + p, b + p) for a, b in linear for p in (".weight", ".bias")]


def vae_names():
    def residual(ours, theirs, shortcut):
        rows = [(f"{ours}.residual.0.gamma", f"{theirs}.norm1.gamma"),
                (f"{ours}.residual.3.gamma", f"{theirs}.norm2.gamma")]
        convs = [("residual.2", "conv1"), ("residual.6", "conv2")]
        convs += [("shortcut", "conv_shortcut")] if shortcut else []
        return rows + [(f"{ours}.{a}.{p}", f"{theirs}.{b}.{p}") for a, b in convs
                       for p in ("weight", "bias")]

    def convs(ours, theirs):
        return [(f"{ours}.{p}", f"{theirs}.{p}") for p in ("weight", "bias")]

    rows = convs("conv1", "quant_conv") + convs("conv2", "post_quant_conv")
    for side in ("encoder", "decoder"):
        rows += convs(f"{side}.conv1", f"{side}.conv_in") + convs(f"{side}.head.2", f"{side}.conv_out")
        rows += [(f"{side}.head.0.gamma", f"{side}.norm_out.gamma")]
        rows += residual(f"{side}.middle.0", f"{side}.mid_block.resnets.0", False)
        rows += residual(f"{side}.middle.2", f"{side}.mid_block.resnets.1", False)
        a, b = f"{side}.middle.1", f"{side}.mid_block.attentions.0"
        rows += [(f"{a}.norm.gamma", f"{b}.norm.gamma")]
        rows += convs(f"{a}.to_qkv", f"{b}.to_qkv") + convs(f"{a}.proj", f"{b}.proj")
    for i in range(11):
        a, b = f"encoder.downsamples.{i}", f"encoder.down_blocks.{i}"
        if i in (2, 5, 8):
            rows += convs(f"{a}.resample.1", f"{b}.resample.1")
            rows += convs(f"{a}.time_conv", f"{b}.time_conv") if i > 2 else []
        else:
            rows += residual(a, b, i in (3, 6))
    for block in range(4):
        for r in range(3):
            rows += residual(f"decoder.upsamples.{4 * block + r}", f"decoder.up_blocks.{block}.resnets.{r}",
                             (block, r) == (1, 0))
        if block < 3:
            a, b = f"decoder.upsamples.{4 * block + 3}", f"decoder.up_blocks.{block}.upsamplers.0"
            rows += convs(f"{a}.resample.1", f"{b}.resample.1")
            rows += convs(f"{a}.time_conv", f"{b}.time_conv") if block < 2 else []
    return rows


def text_names(layers=2):
    rows = [("token_embedding.weight", "shared.weight"), ("norm.weight", "encoder.final_layer_norm.weight")]
    for i in range(layers):
        ours, theirs = f"blocks.{i}.", f"encoder.block.{i}.layer."
        rows += [(f"{ours}attn.{x}.weight", f"{theirs}0.SelfAttention.{x}.weight") for x in "qkvo"]
        rows += [(f"{ours}norm1.weight", f"{theirs}0.layer_norm.weight"),
                 (f"{ours}norm2.weight", f"{theirs}1.layer_norm.weight"),
                 (f"{ours}pos_embedding.embedding.weight",
                  f"{theirs}0.SelfAttention.relative_attention_bias.weight"),
                 (f"{ours}ffn.gate.0.weight", f"{theirs}1.DenseReluDense.wi_0.weight"),
                 (f"{ours}ffn.fc1.weight", f"{theirs}1.DenseReluDense.wi_1.weight"),
                 (f"{ours}ffn.fc2.weight", f"{theirs}1.DenseReluDense.wo.weight")]
    return rows


def text_shape(name):
    dim, wide, vocab, buckets, heads = 8, 12, 16, 32, 2
    for part, shape in (("token_embedding", (vocab, dim)), ("pos_embedding", (buckets, heads)),
                        ("norm", (dim,)), ("ffn.gate", (wide, dim)), ("ffn.fc1", (wide, dim)),
                        ("ffn.fc2", (dim, wide))):
        if part in name:
            return shape
    return (dim, dim)


def write_names(folder):
    pairs = dit_names()
    release = {a: values(2) for a, _ in pairs}
    save_file(release, f"{folder}/dit-release.safetensors")
    write_shards({b: release[a] for a, b in pairs}, f"{folder}/dit-diffusers/transformer",
                 "diffusion_pytorch_model", 3)

    pairs = vae_names()
    release = {a: values(2) for a, _ in pairs}
    save_file(release, f"{folder}/vae-release.safetensors")
    save_file({b: release[a] for a, b in pairs}, f"{folder}/vae-diffusers.safetensors")

    pairs = text_names()
    release = {a: values(*text_shape(a)) for a, _ in pairs}
    hub = {b: release[a] for a, b in pairs}
    save_file(release, f"{folder}/text-release.safetensors")
    write_shards({**hub, "encoder.embed_tokens.weight": hub["shared.weight"].copy()},
                 f"{folder}/text-hf", "model")
    names = gguf.get_tensor_name_map(gguf.MODEL_ARCH.T5, 2)
    w = gguf.GGUFWriter(f"{folder}/text.gguf", "t5encoder")
    for name, data in hub.items():
        w.add_tensor(names.get_name(name, try_suffixes=(".weight",)), data)
    w.write_header_to_file()
    w.write_kv_data_to_file()
    w.write_tensors_to_file()
    w.close()


# ---- a whole encoder, quantised ---------------------------------------------------------------

def write_umt5(folder):
    """Widths that blocks of 32 divide."""
    own = np.random.default_rng(11)
    dim, wide, vocab, buckets, heads, layers = 32, 64, 32, 32, 2, 2
    shapes = {"token_embedding": (vocab, dim), "pos_embedding": (buckets, heads), "norm": (dim,),
              "ffn.gate": (wide, dim), "ffn.fc1": (wide, dim), "ffn.fc2": (dim, wide)}
    plain, fp8, scaled = {}, {}, {}
    for ours, theirs in text_names(layers):
        shape = next((s for part, s in shapes.items() if part in ours), (dim, dim))
        v = own.standard_normal(shape) * (1 if "embedding" in ours else shape[-1] ** -0.5)
        v = v / 4 if ".attn.q." in ours else v  # heads of 16: logits of about 1, as trained ones
        v = torch.tensor(1 + 0.1 * v if "norm" in ours else v).to(torch.bfloat16)
        plain[theirs] = v
        fp8[theirs] = scaled[theirs] = v
        if v.ndim == 2 and "embedding" not in ours:
            by = v.float().abs().max() / 448
            fp8[theirs] = v.to(torch.float8_e4m3fn)
            scaled[theirs] = (v.float() / by).to(torch.float8_e4m3fn)
            scaled[theirs.replace(".weight", ".scale_weight")] = by
    scaled["scaled_fp8"] = torch.zeros(0, dtype=torch.float8_e4m3fn)
    safetensors.torch.save_file(plain, f"{folder}/umt5.safetensors")
    safetensors.torch.save_file(fp8, f"{folder}/umt5-fp8.safetensors")
    safetensors.torch.save_file(scaled, f"{folder}/umt5-fp8-scaled.safetensors")
    names = gguf.get_tensor_name_map(gguf.MODEL_ARCH.T5, layers)
    w = gguf.GGUFWriter(f"{folder}/umt5-q8_0.gguf", "t5encoder")
    for name, v in plain.items():
        packed = v.ndim == 2 and v.shape[-1] % 32 == 0
        data = gguf.quantize(v.float().numpy(), Type.Q8_0) if packed else v.float().numpy()
        w.add_tensor(names.get_name(name, try_suffixes=(".weight",)), data, raw_dtype=Type.Q8_0 if packed else None)
    w.write_header_to_file()
    w.write_kv_data_to_file()
    w.write_tensors_to_file()
    w.close()


# ---- scales -------------------------------------------------------------------------------------

def e4m3_table():
    table = []
    for byte in range(256):
        e, m = byte >> 3 & 15, byte & 7
        v = m * 2.0 ** -9 if e == 0 else (8 + m) * 2.0 ** (e - 10)
        table.append(float("nan") if byte & 127 == 127 else -v if byte > 127 else v)
    return np.array(table, dtype=np.float32)


def write_scaled(folder):
    """By hand as to FP8, which numpy does not have."""
    n, k = 4, 6
    table = e4m3_table()
    tensors, wanted = {}, {}

    def put(name, dtype, array):
        tensors[name] = (dtype, list(array.shape), array.tobytes())

    def fp8():
        raw = rng.integers(0, 256, (n, k), dtype=np.uint8)
        raw[raw & 127 == 127] = 1
        return raw

    for name, scale, shape in (("one.scale_weight", 1, ()), ("rows.weight_scale", n, (n, 1)),
                               ("list.weight_scale", n, (n,)), ("blocks.weight_scale_inv", 6, (2, 3)),
                               ("none", 0, None)):
        layer = name.split(".")[0]
        raw = fp8()
        put(f"{layer}.weight", "F8_E4M3", raw)
        want = table[raw]
        if shape is not None:
            s = np.abs(values(scale)).reshape(shape)
            put(name, "F32", s)
            full = np.broadcast_to(s.reshape(-1, 1), (n, k)) if scale == n else s
            full = np.kron(s, np.ones((2, 2), np.float32)) if scale == 6 else full
            want = want * full.astype(np.float32)
        wanted[f"{layer}.weight"] = np.ascontiguousarray(want, dtype=np.float32)
    raw = rng.integers(-128, 128, (n, k), dtype=np.int8)
    s = np.abs(values(n, 1))
    put("whole.weight", "I8", raw)
    put("whole.weight_scale", "F32", s)
    wanted["whole.weight"] = raw.astype(np.float32) * s
    put("bare.weight", "I8", raw)
    put("odd.weight", "F8_E4M3", fp8())
    put("odd.weight_scale", "F32", values(3))

    header, at = {}, 0
    for name, (dtype, shape, data) in tensors.items():
        header[name] = {"dtype": dtype, "shape": shape, "data_offsets": [at, at + len(data)]}
        at += len(data)
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with open(f"{folder}/scaled.safetensors", "wb") as f:
        f.write(len(text).to_bytes(8, "little") + text + b"".join(d for _, _, d in tensors.values()))
    save_file(wanted, f"{folder}/scaled-wanted.safetensors")
    torch.save(safetensors.torch.load_file(f"{folder}/scaled.safetensors"), f"{folder}/scaled.pt")


if __name__ == "__main__":
    out = sys.argv[1]
    os.makedirs(out, exist_ok=True)
    write_types(out)
    write_names(out)
    write_scaled(out)
    write_umt5(out)
