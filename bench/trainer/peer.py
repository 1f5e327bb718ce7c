#!/usr/bin/env python3
"""The peer of isoflop-trainer's speed: the same network in plain PyTorch.

    python peer.py --mode eager|compile --shape D,L,H,FF --tokens T,B --threads N
                   --dataset DIR/dataset.json --warmup W --steps S [--device cuda]

What a careful user would write: nn.Module, fused AdamW, fused attention,
clip_grad_norm_; on a GPU autocast to bf16 and pinned batches. Prints one JSON line with the seconds from the start of the
process to the end of the first step, the steady tokens/s (median over groups of
ten steps) and the tokens a second of CPU time.
"""
import argparse
import json
import math
import os
import pathlib
import statistics
import time

BEGUN = time.time() - (time.clock_gettime(time.CLOCK_BOOTTIME)
                       - int(open("/proc/self/stat").read().rsplit(")", 1)[1].split()[19]) / os.sysconf("SC_CLK_TCK"))

import numpy  # noqa: E402  (the start is measured before the imports)
import torch  # noqa: E402
import torch.nn.functional as F  # noqa: E402
from torch import nn  # noqa: E402


def rotate(x, cos, sin):
    first, second = x.chunk(2, dim=-1)
    return torch.cat([first * cos - second * sin, second * cos + first * sin], dim=-1)


class Block(nn.Module):
    def __init__(self, d, heads, ff):
        super().__init__()
        self.heads = heads
        self.norm1, self.norm2 = nn.RMSNorm(d, eps=1e-6), nn.RMSNorm(d, eps=1e-6)
        self.qkv, self.out = nn.Linear(d, 3 * d, bias=False), nn.Linear(d, d, bias=False)
        self.up, self.down = nn.Linear(d, ff, bias=False), nn.Linear(ff, d, bias=False)

    def forward(self, x, cos, sin):
        b, t, d = x.shape
        q, k, v = self.qkv(self.norm1(x)).view(b, t, 3, self.heads, d // self.heads).permute(2, 0, 3, 1, 4)
        q, k = rotate(q, cos, sin), rotate(k, cos, sin)
        mixed = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        x = x + self.out(mixed.transpose(1, 2).reshape(b, t, d))
        return x + self.down(F.gelu(self.up(self.norm2(x)), approximate="tanh"))


class Transformer(nn.Module):
    def __init__(self, d, layers, heads, ff, vocab, length):
        super().__init__()
        self.embedding = nn.Embedding(vocab, d)
        self.blocks = nn.ModuleList(Block(d, heads, ff) for _ in range(layers))
        self.norm, self.head = nn.RMSNorm(d, eps=1e-6), nn.Linear(d, vocab, bias=False)
        half = d // heads // 2
        angle = torch.arange(length)[:, None] * 10000.0 ** (-torch.arange(half) / half)
        self.register_buffer("cos", angle.cos())
        self.register_buffer("sin", angle.sin())
        for name, p in self.named_parameters():
            if p.dim() == 2:
                residual = name.endswith(("out.weight", "down.weight"))
                nn.init.normal_(p, 0, 0.02 / math.sqrt(2 * layers) if residual else 0.02)

    def forward(self, inputs, targets):
        x = self.embedding(inputs)
        for block in self.blocks:
            x = block(x, self.cos, self.sin)
        return F.cross_entropy(self.head(self.norm(x)).flatten(0, 1), targets.flatten())


def windows(dataset, length, batch, seed=1):
    """Batches of training windows of the data set (llm.c shards, u16)."""
    folder = pathlib.Path(dataset).parent
    manifest = json.loads(pathlib.Path(dataset).read_text())
    shard = folder / manifest["train"]["shards"][0]["file"]
    tokens = numpy.memmap(shard, dtype="<u2", mode="r", offset=1024)
    order = numpy.random.default_rng(seed).permutation((len(tokens) - 1) // length)
    at = 0
    while True:
        rows = [tokens[i * length:i * length + length + 1].astype(numpy.int64) for i in order[at:at + batch]]
        at = at + batch if at + 2 * batch <= len(order) else 0
        block = torch.from_numpy(numpy.stack(rows))
        yield block[:, :-1].contiguous(), block[:, 1:].contiguous()


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--mode", choices=("eager", "compile"), required=True)
    parser.add_argument("--shape", required=True)
    parser.add_argument("--tokens", required=True)
    parser.add_argument("--threads", type=int, required=True)
    parser.add_argument("--dataset", required=True)
    parser.add_argument("--warmup", type=int, default=10)
    parser.add_argument("--steps", type=int, default=40)
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    args = parser.parse_args()
    d, layers, heads, ff = map(int, args.shape.split(","))
    length, batch = map(int, args.tokens.split(","))
    torch.set_num_threads(args.threads)
    torch.manual_seed(1)
    cuda = args.device == "cuda"
    vocab = json.loads(pathlib.Path(args.dataset).read_text())["tokenizer"]["vocab_size"]
    model = Transformer(d, layers, heads, ff, vocab, length).to(args.device)
    parameters = list(model.parameters())
    optimizer = torch.optim.AdamW(
        [dict(params=[p for n, p in model.named_parameters() if p.dim() == 2 and "embedding" not in n], weight_decay=0.1),
         dict(params=[p for n, p in model.named_parameters() if p.dim() == 1 or "embedding" in n], weight_decay=0.0)],
        lr=3e-3, betas=(0.9, 0.95), eps=1e-8, fused=True)
    run = torch.compile(model) if args.mode == "compile" else model
    batches = windows(args.dataset, length, batch)

    def step():
        inputs, targets = next(batches)
        if cuda:
            inputs, targets = (t.pin_memory().to("cuda", non_blocking=True) for t in (inputs, targets))
        with torch.autocast("cuda", torch.bfloat16, enabled=cuda):
            loss = run(inputs, targets)
        loss.backward()
        nn.utils.clip_grad_norm_(parameters, 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        return loss

    loss = step().detach()
    loss.item()
    first = time.time() - BEGUN
    wait = torch.cuda.synchronize if cuda else lambda: None
    for _ in range(args.warmup):
        step()
    wait()
    speeds, cpu_begin = [], time.process_time()
    for _ in range(max(1, args.steps // 10)):
        begin = time.perf_counter()
        for _ in range(10):
            loss = step().detach()
        wait()
        speeds.append(10 * batch * length / (time.perf_counter() - begin))
    cpu_seconds = time.process_time() - cpu_begin
    print(json.dumps({"first_step_seconds": first, "tokens_per_second": statistics.median(speeds),
                      "tokens_per_cpu_second": len(speeds) * 10 * batch * length / cpu_seconds, "loss": loss.item()}))


if __name__ == "__main__":
    main()
