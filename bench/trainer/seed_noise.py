#!/usr/bin/env python3
"""How far seeds part: one cell of the quickstart trained in plain PyTorch.

    python seed_noise.py --dataset DIR/dataset.json [--shape 24,1,4,96] [--tokens 1.45e6]
                         [--warmup-steps 132] [--first 1] [--last 16]

The peer's network under the quickstart's recipe (lr 1e-2 at width 24, batch 512,
wsd with a fifth of linear cooldown), a line a seed: the loss on the whole frozen
evaluation set in nats per token; then mean and standard deviation. Ours beside it:

    isoflop run configs/quickstart_austen.yaml --set name=width-24 \\
      --set 'grid={kind: list, points: [{params: 13.2K, tokens: 1.45M}]}' \\
      --set 'schedule={warmup: 132 steps}' --set seeds=[1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16]
"""
import argparse
import json
import pathlib
import statistics

import numpy
import torch
from torch import nn

from peer import Transformer, windows

LENGTH, BATCH = 64, 8


def train(args, seed):
    torch.manual_seed(seed)
    d, layers, heads, ff = map(int, args.shape.split(","))
    model = Transformer(d, layers, heads, ff, 257, LENGTH)
    parameters = list(model.parameters())
    optimizer = torch.optim.AdamW(
        [dict(params=[p for n, p in model.named_parameters() if p.dim() == 2 and "embedding" not in n], weight_decay=0.1),
         dict(params=[p for n, p in model.named_parameters() if p.dim() == 1 or "embedding" in n], weight_decay=0.0)],
        lr=0.0, betas=(0.9, 0.95), eps=1e-8, fused=True)
    peak = 1e-2 * (d / 24) ** -0.52
    steps = round(args.tokens / (LENGTH * BATCH))
    cooldown = round(0.2 * steps)
    batches = windows(args.dataset, LENGTH, BATCH, seed)
    for step in range(steps):
        rate = peak * min(1, (step + 1) / args.warmup_steps)
        if step >= steps - cooldown:
            rate = peak * (1 - (step - (steps - cooldown) + 1) / cooldown)
        for group in optimizer.param_groups:
            group["lr"] = rate
        inputs, targets = next(batches)
        model(inputs, targets).backward()
        nn.utils.clip_grad_norm_(parameters, 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
    return model


def evaluate(args, model):
    manifest = json.loads(pathlib.Path(args.dataset).read_text())
    shard = pathlib.Path(args.dataset).parent / manifest["eval"]["shards"][0]["file"]
    tokens = torch.from_numpy(numpy.fromfile(shard, dtype="<u2", offset=1024).astype(numpy.int64))
    count = (len(tokens) - 1) // LENGTH
    inputs, targets = tokens[:count * LENGTH].view(count, LENGTH), tokens[1:count * LENGTH + 1].view(count, LENGTH)
    with torch.no_grad():
        return sum(model(inputs[i:i + 512], targets[i:i + 512]).item() * len(inputs[i:i + 512])
                   for i in range(0, count, 512)) / count


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dataset", required=True)
    parser.add_argument("--shape", default="24,1,4,96", help="d,layers,heads,d_ff")
    parser.add_argument("--tokens", type=float, default=1.45e6)
    parser.add_argument("--warmup-steps", type=int, default=132)
    parser.add_argument("--first", type=int, default=1)
    parser.add_argument("--last", type=int, default=16)
    args = parser.parse_args()
    torch.set_num_threads(1)
    losses = []
    for seed in range(args.first, args.last + 1):
        losses.append(evaluate(args, train(args, seed)))
        print(f"seed {seed}  loss {losses[-1]:.4f}", flush=True)
    if len(losses) > 1:
        print(f"{len(losses)} seeds  mean {statistics.mean(losses):.4f}  standard deviation {statistics.stdev(losses):.4f}")


if __name__ == "__main__":
    main()
