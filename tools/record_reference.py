#!/usr/bin/env python3
"""Records what PyTorch says about small networks, for tests/worker/trainer.

    python tools/record_reference.py [transformer|lstm]   # needs torch and numpy; writes
                             # tests/worker/trainer/golden/{transformer,lstm}.safetensors

The transformers are written here a second time, in PyTorch's own words, from the
description in worker/trainer/transformer.h; the LSTM is torch.nn.LSTM. For each case: logits and gradients
of the mean loss at the start, and the losses of 20 steps of torch.optim.AdamW
with clip_grad_norm_. Weights and tokens are a hash of name and place, so they
are not stored. Tests need no Python: the file lies in the repository.
"""
import json
import math
import pathlib
import struct
import sys

import numpy
import torch
import torch.nn.functional as F

B, T, D, H, FF, L, V = 2, 5, 8, 2, 12, 2, 7
STEPS, LR, DECAY, CLIP, BETAS, EPS = 20, 1e-2, 0.1, 1.0, (0.9, 0.95), 1e-8
MASK = (1 << 64) - 1
GOLDEN = pathlib.Path(__file__).resolve().parent.parent / "tests/worker/trainer/golden"


def cases():
    base = dict(norm="rmsnorm", position="rope", activation="gelu", tied=False, qk_norm=False, bias=False, mup=0)
    for norm in ("rmsnorm", "layernorm"):
        for position in ("rope", "learned", "sinusoidal"):
            for activation in ("gelu", "swiglu", "relu2"):
                yield f"{norm}-{position}-{activation}", {**base, "norm": norm, "position": position,
                                                          "activation": activation}
    yield "tied", {**base, "tied": True}
    yield "qk-norm", {**base, "qk_norm": True}
    yield "bias", {**base, "norm": "layernorm", "position": "learned", "bias": True}
    yield "mup", {**base, "mup": 4}


def splitmix64(x):
    x = (x + 0x9E3779B97F4A7C15) & MASK
    x = ((x ^ (x >> 30)) * 0xBF58476D1CE4E5B9) & MASK
    x = ((x ^ (x >> 27)) * 0x94D049BB133111EB) & MASK
    return x ^ (x >> 31)


def fnv1a(text):
    value = 0xCBF29CE484222325
    for byte in text.encode():
        value = ((value ^ byte) * 0x100000001B3) & MASK
    return value


def unit(name, index):
    """A number in [-0.5, 0.5) that both sides compute exactly."""
    return (splitmix64((fnv1a(name) + index) & MASK) >> 40) / 2.0**24 - 0.5


def filled(name, *shape):
    flat = [unit(name, i) for i in range(math.prod(shape))]
    start = 1.0 if name.endswith("norm.weight") else 0.0
    return torch.tensor([start + 0.8 * u for u in flat], dtype=torch.float32).view(*shape).requires_grad_()


def tokens(step):
    ids = [splitmix64(1000 * step + i) % V for i in range(B * (T + 1))]
    window = torch.tensor(ids).view(B, T + 1)
    return window[:, :-1], window[:, 1:]


def parameters(case):
    p = {}

    def linear(name, outputs, inputs):
        p[name + ".weight"] = filled(name + ".weight", outputs, inputs)
        if case["bias"]:
            p[name + ".bias"] = filled(name + ".bias", outputs)

    def norm(name):
        p[name + ".weight"] = filled(name + ".weight", D)
        if case["bias"] and case["norm"] == "layernorm":
            p[name + ".bias"] = filled(name + ".bias", D)

    if not case["tied"]:
        p["head.weight"] = filled("head.weight", V, D)
    for layer in range(L):
        norm(f"blocks.{layer}.attention_norm")
        linear(f"blocks.{layer}.attention.qkv", 3 * D, D)
        linear(f"blocks.{layer}.attention.out", D, D)
        norm(f"blocks.{layer}.mlp_norm")
        linear(f"blocks.{layer}.mlp.up", FF * (2 if case["activation"] == "swiglu" else 1), D)
        linear(f"blocks.{layer}.mlp.down", D, FF)
    norm("final_norm")
    p["embedding.weight"] = filled("embedding.weight", V, D)
    if case["position"] == "learned":
        p["position.weight"] = filled("position.weight", T, D)
    return p


def rotate(x):  # (B, H, T, K), rotate-half
    half = x.shape[-1] // 2
    angle = torch.arange(T, dtype=torch.float64)[:, None] * 10000.0 ** (-2.0 * torch.arange(half) / x.shape[-1])
    cos, sin = angle.cos().float(), angle.sin().float()
    cos, sin = torch.cat([cos, cos], -1), torch.cat([sin, sin], -1)
    turned = torch.cat([-x[..., half:], x[..., :half]], -1)
    return x * cos + turned * sin


def sinusoids():
    table = torch.zeros(T, D, dtype=torch.float64)
    for t in range(T):
        for i in range(0, D, 2):
            table[t, i] = math.sin(t / 10000 ** (i / D))
            table[t, i + 1] = math.cos(t / 10000 ** (i / D))
    return table.float()


def logits_of(case, p, inputs):
    def linear(name, x):
        return F.linear(x, p[name + ".weight"], p.get(name + ".bias"))

    def norm(name, x):
        if case["norm"] == "rmsnorm":
            return F.rms_norm(x, (D,), p[name + ".weight"], eps=1e-6)
        return F.layer_norm(x, (D,), p[name + ".weight"], p.get(name + ".bias"), eps=1e-5)

    x = F.embedding(inputs, p["embedding.weight"])
    if case["position"] == "learned":
        x = x + p["position.weight"]
    if case["position"] == "sinusoidal":
        x = x * math.sqrt(D) + sinusoids()
    for layer in range(L):
        name = f"blocks.{layer}"
        q, k, v = linear(name + ".attention.qkv", norm(name + ".attention_norm", x)).split(D, dim=-1)
        q, k, v = (t.view(B, T, H, D // H).transpose(1, 2) for t in (q, k, v))
        if case["qk_norm"]:
            q, k = F.rms_norm(q, (D // H,), eps=1e-6), F.rms_norm(k, (D // H,), eps=1e-6)
        if case["position"] == "rope":
            q, k = rotate(q), rotate(k)
        scale = H / D if case["mup"] else 1 / math.sqrt(D // H)
        scores = (q @ k.transpose(-1, -2)) * scale
        scores = scores.masked_fill(torch.ones(T, T, dtype=torch.bool).triu(1), float("-inf"))
        mixed = (scores.softmax(-1) @ v).transpose(1, 2).reshape(B, T, D)
        x = x + linear(name + ".attention.out", mixed)
        u = linear(name + ".mlp.up", norm(name + ".mlp_norm", x))
        if case["activation"] == "gelu":
            u = F.gelu(u, approximate="tanh")
        elif case["activation"] == "relu2":
            u = F.relu(u) ** 2
        else:
            gate, u = u.split(FF, dim=-1)
            u = F.silu(gate) * u
        x = x + linear(name + ".mlp.down", u)
    head = p["embedding.weight"] if case["tied"] else p["head.weight"]
    return F.linear(norm("final_norm", x), head) * (case["mup"] / D if case["mup"] else 1)


def lstm_parameters(tied):
    p = {}
    if not tied:
        p["head.weight"] = filled("head.weight", V, D)
        p["head.bias"] = filled("head.bias", V)
    for layer in range(L):
        for part in ("input", "state"):
            name = f"blocks.{layer}.lstm.{part}"
            p[name + ".weight"] = filled(name + ".weight", 4 * D, D)
            p[name + ".bias"] = filled(name + ".bias", 4 * D)
    p["embedding.weight"] = filled("embedding.weight", V, D)
    return p


def lstm_logits(p, inputs):
    """Through torch.nn.LSTM, whose parameters are ours by name."""
    ours = {}
    for layer in range(L):
        for part, theirs in (("input", "ih"), ("state", "hh")):
            ours[f"weight_{theirs}_l{layer}"] = p[f"blocks.{layer}.lstm.{part}.weight"]
            ours[f"bias_{theirs}_l{layer}"] = p[f"blocks.{layer}.lstm.{part}.bias"]
    lstm = torch.nn.LSTM(D, D, num_layers=L, batch_first=True)
    x = F.embedding(inputs, p["embedding.weight"])
    hidden, _ = torch.func.functional_call(lstm, ours, (x,))
    return F.linear(hidden, p.get("head.weight", p["embedding.weight"]), p.get("head.bias"))


def record(file, networks):
    """networks: (name, parameters, logits of inputs)."""
    tensors = {}
    for name, p, logits_of_inputs in networks:
        decayed = [t for n, t in p.items() if t.dim() == 2 and not n.startswith(("embedding", "position"))]
        others = [t for n, t in p.items() if t.dim() == 1 or n.startswith(("embedding", "position"))]
        optimizer = torch.optim.AdamW([dict(params=decayed, weight_decay=DECAY), dict(params=others, weight_decay=0)],
                                      lr=LR, betas=BETAS, eps=EPS)
        losses = []
        for step in range(STEPS):
            inputs, targets = tokens(step)
            logits = logits_of_inputs(inputs)
            loss = F.cross_entropy(logits.reshape(-1, V), targets.reshape(-1))
            optimizer.zero_grad()
            loss.backward()
            if step == 0:
                tensors[name + "/logits"] = logits.detach().numpy().copy()
                for parameter, tensor in p.items():
                    tensors[f"{name}/grad/{parameter}"] = tensor.grad.numpy().copy()
            losses.append(loss.item())
            torch.nn.utils.clip_grad_norm_(p.values(), CLIP)
            optimizer.step()
        tensors[name + "/losses"] = numpy.array(losses, dtype=numpy.float32)
        print(f"{name}: {losses[0]:.6f} -> {losses[-1]:.6f}")

    header, data = {"__metadata__": {"torch": torch.__version__}}, b""
    for name, array in tensors.items():
        raw = array.astype("<f4").tobytes()
        header[name] = {"dtype": "F32", "shape": list(array.shape), "data_offsets": [len(data), len(data) + len(raw)]}
        data += raw
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    path = GOLDEN / file
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(struct.pack("<Q", len(text)) + text + data)
    print(f"{file}: {path.stat().st_size} bytes, {len(tensors)} tensors")


def main():
    torch.set_num_threads(1)
    wanted = sys.argv[1:] or ["transformer", "lstm"]
    if "transformer" in wanted:
        def network(name, case):
            p = parameters(case)
            return name, p, lambda inputs: logits_of(case, p, inputs)
        record("transformer.safetensors", [network(*one) for one in cases()])
    if "lstm" in wanted:
        def lstm(name, tied):
            p = lstm_parameters(tied)
            return name, p, lambda inputs: lstm_logits(p, inputs)
        record("lstm.safetensors", [lstm("lstm", False), lstm("lstm-tied", True)])


if __name__ == "__main__":
    main()
