"""Writes a checkpoint that the real ComfyUI takes for Stable Diffusion 1.x and samples in seconds on a processor.

    python3 checkpoint.py OUT.safetensors

The UNet has one level of one block, attention in that alone, and random weights. So has the text encoder, which must be
CLIP-L's: another prompt is another picture. The VAE is TAESD's, with weights that hand colours through: each channel of a
picture is one of the latent, eight times smaller. So noise is drawn in colours, and a picture that goes in at a low
denoise comes out in its own. The file is the same each time.
"""

import json
import struct
import sys

import numpy as np

CHANNELS, CONTEXT = 320, 768  # by these ComfyUI knows SD 1.x
LATENT = 4
# ComfyUI adds noise to 0.18215 of what the VAE gives: a small scale makes that large, so that colours stand out.
VAE_SCALE = 0.02


def unet():
    time = 4 * CHANNELS

    def linear(name, out, into, bias=True):
        yield f"{name}.weight", (out, into)
        if bias:
            yield f"{name}.bias", (out,)

    def conv(name, out, into, size=3):
        yield f"{name}.weight", (out, into, size, size)
        yield f"{name}.bias", (out,)

    def norm(name, width=CHANNELS):
        yield f"{name}.weight", (width,)
        yield f"{name}.bias", (width,)

    def residual(name, into):
        yield from norm(f"{name}.in_layers.0", into)
        yield from conv(f"{name}.in_layers.2", CHANNELS, into)
        yield from linear(f"{name}.emb_layers.1", CHANNELS, time)
        yield from norm(f"{name}.out_layers.0")
        yield from conv(f"{name}.out_layers.3", CHANNELS, CHANNELS)
        if into != CHANNELS:
            yield from conv(f"{name}.skip_connection", CHANNELS, into, 1)

    def attention(name):
        yield from norm(f"{name}.norm")
        yield from conv(f"{name}.proj_in", CHANNELS, CHANNELS, 1)
        block = f"{name}.transformer_blocks.0"
        for i, into in (1, CHANNELS), (2, CONTEXT):
            yield from linear(f"{block}.attn{i}.to_q", CHANNELS, CHANNELS, bias=False)
            yield from linear(f"{block}.attn{i}.to_k", CHANNELS, into, bias=False)
            yield from linear(f"{block}.attn{i}.to_v", CHANNELS, into, bias=False)
            yield from linear(f"{block}.attn{i}.to_out.0", CHANNELS, CHANNELS)
        yield from linear(f"{block}.ff.net.0.proj", 8 * CHANNELS, CHANNELS)
        yield from linear(f"{block}.ff.net.2", CHANNELS, 4 * CHANNELS)
        for i in 1, 2, 3:
            yield from norm(f"{block}.norm{i}")
        yield from conv(f"{name}.proj_out", CHANNELS, CHANNELS, 1)

    yield from linear("time_embed.0", time, CHANNELS)
    yield from linear("time_embed.2", time, time)
    yield from conv("input_blocks.0.0", CHANNELS, LATENT)
    yield from residual("input_blocks.1.0", CHANNELS)
    yield from attention("input_blocks.1.1")
    yield from residual("middle_block.0", CHANNELS)
    for i in 0, 1:
        yield from residual(f"output_blocks.{i}.0", 2 * CHANNELS)
    yield from norm("out.0")
    yield from conv("out.2", LATENT, CHANNELS)


def clip():
    yield "embeddings.token_embedding.weight", (49408, CONTEXT)
    yield "embeddings.position_embedding.weight", (77, CONTEXT)
    for i in range(12):
        layer = f"encoder.layers.{i}"
        square = [(f"self_attn.{name}", CONTEXT, CONTEXT) for name in ("q_proj", "k_proj", "v_proj", "out_proj")]
        for name, out, into in (*square, ("mlp.fc1", 4 * CONTEXT, CONTEXT), ("mlp.fc2", CONTEXT, 4 * CONTEXT)):
            yield f"{layer}.{name}.weight", (out, into)
            yield f"{layer}.{name}.bias", (out,)
        for norm in "layer_norm1", "layer_norm2":
            yield f"{layer}.{norm}.weight", (CONTEXT,)
            yield f"{layer}.{norm}.bias", (CONTEXT,)
    yield "final_layer_norm.weight", (CONTEXT,)
    yield "final_layer_norm.bias", (CONTEXT,)


def vae():
    """The layers of TAESD with their weights: what is not a colour's way through is zero."""
    width = 64

    def through(out, into, colours=3):
        weight = np.zeros((out, into, 3, 3), np.float16)
        for c in range(colours):
            weight[c, c, 1, 1] = 1
        return weight

    def block(name):
        for i in 0, 2, 4:
            yield f"{name}.conv.{i}.weight", np.zeros((width, width, 3, 3), np.float16)
            yield f"{name}.conv.{i}.bias", np.zeros(width, np.float16)

    def layer(name, weight, bias=True):
        yield f"{name}.weight", weight
        if bias:
            yield f"{name}.bias", np.zeros(len(weight), np.float16)

    encoder, decoder = "taesd_encoder", "taesd_decoder"
    yield from layer(f"{encoder}.0", through(width, 3))
    for i in (1, *range(3, 6), *range(7, 10), *range(11, 14)):
        yield from block(f"{encoder}.{i}")
    for i in 2, 6, 10:
        yield from layer(f"{encoder}.{i}", through(width, width), bias=False)
    yield from layer(f"{encoder}.14", through(LATENT, width))

    yield from layer(f"{decoder}.1", through(width, LATENT))
    for i in (*range(3, 6), *range(8, 11), *range(13, 16), 18):
        yield from block(f"{decoder}.{i}")
    for i in 7, 12, 17:
        yield from layer(f"{decoder}.{i}", through(width, width), bias=False)
    yield from layer(f"{decoder}.19", through(3, width))
    yield "vae_scale", np.array(VAE_SCALE, np.float16)
    yield "vae_shift", np.array(0, np.float16)


def drawn(shapes, random):
    """Weights that keep a signal's size: normal, of variance 1 ÷ inputs; norms leave as is, biases are zero."""
    for name, shape in shapes:
        if name.endswith(".bias"):
            yield name, np.zeros(shape, np.float16)
        elif len(shape) == 1:
            yield name, np.ones(shape, np.float16)
        else:
            scale = np.float32(np.prod(shape[1:]) ** -0.5)
            yield name, (random.standard_normal(shape, np.float32) * scale).astype(np.float16)


def write(path):
    random = np.random.default_rng(1)
    tensors = {
        **{f"model.diffusion_model.{name}": t for name, t in drawn(unet(), random)},
        **{f"cond_stage_model.transformer.text_model.{name}": t for name, t in drawn(clip(), random)},
        **{f"first_stage_model.{name}": t for name, t in vae()},
    }
    header, at = {}, 0  # https://github.com/huggingface/safetensors#format
    for name, t in tensors.items():
        header[name] = {"dtype": "F16", "shape": t.shape, "data_offsets": [at, at + t.nbytes]}
        at += t.nbytes
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as f:
        f.write(struct.pack("<Q", len(text)) + text)
        for t in tensors.values():
            f.write(t.tobytes())


if __name__ == "__main__":
    write(sys.argv[1])
