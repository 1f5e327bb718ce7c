#!/usr/bin/env python3
"""Runs isoflop-trainer and the peers in turn and prints one table.

    python compare.py --trainer BIN --dataset DIR/dataset.json [--rounds 5]
                      [--case NAME=D,L,H,FF,T,B,THREADS ...] [--device cuda]

The first column of ratios is of wall time. The second is of CPU time, summed over
the threads: on a machine that is busy with other work it is the one to read, for
one thread at least (idle threads of OpenMP wait by spinning).

Each round runs ours, PyTorch eager and torch.compile once, one after the other, so
that a busy moment of the machine hits all alike; a cell is the median over the
rounds. Steady: tokens/s over groups of ten steps, after a warm-up. First step:
seconds from the start of the process; for torch.compile both with an empty
compilation cache (the first round) and with a full one.
"""
import argparse
import hashlib
import json
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time

CASES = {
    "d128 L4 T128 B32, 2 threads": (128, 4, 4, 512, 128, 32, 2),
    "d128 L4 T128 B32, 1 thread": (128, 4, 4, 512, 128, 32, 1),
    "d64 L2 T128 B32, 2 threads": (64, 2, 2, 256, 128, 32, 2),
    "d32 L1 T64 B8, 1 thread": (32, 1, 4, 128, 64, 8, 1),
}
# On a GPU, in bf16: threads are those of the host.
GPU_CASES = {
    "0.8M, d128 L4 T128 B32": (128, 4, 4, 512, 128, 32, 1),
    "4.9M, d256 L6 T256 B64": (256, 6, 4, 1024, 256, 64, 1),
    "25M, d512 L8 T1024 B32": (512, 8, 8, 2048, 1024, 32, 1),
    "124M, d768 L12 T1024 B64": (768, 12, 12, 3072, 1024, 64, 1),
}
PEER = pathlib.Path(__file__).with_name("peer.py")


def trial(case, dataset, steps, cuda):
    """The canonical JSON of a trial (sorted keys, no spaces)."""
    d, layers, heads, ff, length, batch, _ = case
    manifest = json.loads(pathlib.Path(dataset).read_text())
    return json.dumps({
        "batch_sequences": batch, "batch_tokens": batch * length, "branch_step": None, "branch_steps": [],
        "data": {"allow_repeat": True,
                 "dataset_sha256": hashlib.sha256(pathlib.Path(dataset).read_bytes()).hexdigest(),
                 "eval_sha256": manifest["eval"]["shards"][0]["sha256"], "unique_tokens": manifest["train"]["tokens"]},
        "deterministic": True, "eval": {"every_steps": 0, "sequence_length": length},
        "model": {"activation": "gelu", "bias": False, "d_ff": ff, "d_model": d, "dropout": 0, "family": "transformer",
                  "init": "gpt2", "n_head": heads, "n_layer": layers, "norm": "rmsnorm", "position": "rope",
                  "qk_norm": False, "tied_head": False, "vocab_size": manifest["tokenizer"]["vocab_size"]},
        "optimizer": {"beta1": 0.9, "beta2": 0.95, "clip_norm": 1, "eps": 1e-8, "lr_peak": 0.003,
                      "lr_scale": {"blocks": 1, "embedding": 1, "head": 1}, "weight_decay": 0.1},
        "parent_lineage": None, "precision": "bf16" if cuda else "fp32",
        "schedule": {"decay_shape": "linear", "decay_steps": 0, "final_fraction": 0, "kind": "constant",
                     "warmup_steps": 0},
        "seed": 1, "sequence_length": length, "steps": steps, "tokens_planned": steps * batch * length,
    }, sort_keys=True, separators=(",", ":"))


def cpu_seconds(pid):
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def run_ours(args, case, warmup, steps, folder):
    path = pathlib.Path(folder) / "trial.json"
    path.write_text(trial(case, args.dataset, warmup + steps, args.device == "cuda"))
    environment = dict(os.environ, ISOFLOP_TRIAL=str(path), ISOFLOP_DATA=args.dataset, OMP_NUM_THREADS=str(case[6]))
    begin = time.time()
    process = subprocess.Popen([args.trainer], env=environment, stdout=subprocess.PIPE, text=True)
    first, speeds, loss, cpu_begin, cpu = None, [], None, 0, 0
    for line in process.stdout:
        event = json.loads(line)
        if event["event"] == "error":
            sys.exit(f"isoflop-trainer: {event['message']}")
        if event["event"] != "step":
            continue
        first = first or time.time() - begin
        loss = event["loss_nats"]
        if event["step"] == warmup:
            cpu_begin = cpu_seconds(process.pid)
        if event["step"] > warmup:
            speeds.append(event["tokens_per_second"])
        if event["step"] == warmup + steps:
            cpu = cpu_seconds(process.pid) - cpu_begin
            break  # what follows is the evaluation
    process.kill()
    process.wait()
    return {"first_step_seconds": first, "tokens_per_second": statistics.median(speeds),
            "tokens_per_cpu_second": steps * case[4] * case[5] / cpu, "loss": loss}


def run_peer(args, mode, case, warmup, steps, folder):
    environment = dict(os.environ, OMP_NUM_THREADS=str(case[6]), TORCHINDUCTOR_CACHE_DIR=f"{folder}/inductor",
                       TRITON_CACHE_DIR=f"{folder}/triton")
    if args.device == "cpu":
        environment["CUDA_VISIBLE_DEVICES"] = ""
    command = [sys.executable, str(PEER), "--mode", mode, "--shape", ",".join(map(str, case[:4])), "--tokens",
               f"{case[4]},{case[5]}", "--threads", str(case[6]), "--dataset", args.dataset, "--warmup", str(warmup),
               "--steps", str(steps), "--device", args.device]
    return json.loads(subprocess.run(command, env=environment, check=True, stdout=subprocess.PIPE, text=True).stdout)


def measure(args, name, case):
    budget = 6.0 * 14e3 * 850e3 / max(1, 12 * case[0] ** 2 * case[1])  # tokens for about 6 s
    steps = args.steps or 10 * max(3, min(60, int(budget / (case[4] * case[5]) / 10)))
    results = {"ours": [], "eager": [], "compile": []}
    with tempfile.TemporaryDirectory() as folder:
        for turn in range(args.rounds):
            results["ours"].append(run_ours(args, case, 10, steps, folder))
            for mode in ("eager", "compile"):
                results[mode].append(run_peer(args, mode, case, 10, steps, folder))
            print(f"  round {turn + 1}: " + ", ".join(
                f"{who} {runs[-1]['tokens_per_second']:,.0f} ({runs[-1]['tokens_per_cpu_second']:,.0f} a CPU second)" for who, runs in results.items()), file=sys.stderr)

    def steady(who):
        return statistics.median(r["tokens_per_second"] for r in results[who])

    def first(who, skip=0):
        runs = results[who][skip:] or results[who]
        return statistics.median(r["first_step_seconds"] for r in runs)

    # The median of the rounds' own ratios: what slows the machine slows both.
    def against_better(figure):
        return statistics.median(o[figure] / max(e[figure], c[figure])
                                 for o, e, c in zip(results["ours"], results["eager"], results["compile"]))

    ratio = against_better("tokens_per_second")
    cold = results["compile"][0]["first_step_seconds"]
    print(f"| {name} | {steady('ours'):,.0f} | {steady('eager'):,.0f} | {steady('compile'):,.0f} | {ratio:.2f} | {against_better('tokens_per_cpu_second'):.2f} "
          f"| {first('ours'):.2f} | {first('eager'):.2f} | {cold:.1f} cold, {first('compile', 1):.1f} "
          f"| {first('eager') / first('ours'):.1f}x |", flush=True)
    return ratio, first("eager") / first("ours")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--trainer", required=True)
    parser.add_argument("--dataset", required=True)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--case", action="append", default=[])
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--steps", type=int, help="updates that are timed; a multiple of 10")
    args = parser.parse_args()
    cases = CASES if args.device == "cpu" else GPU_CASES
    if args.case:
        cases = {name: tuple(map(int, sizes.split(","))) for name, sizes in (c.split("=") for c in args.case)}
    print("| shape | ours, tokens/s | eager | torch.compile | ours / better peer | in CPU time | first step: ours, s | eager | compile "
          "| eager / ours |\n|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|", flush=True)
    measured = {name: measure(args, name, case) for name, case in cases.items()}
    if args.device == "cuda":
        return 0
    name, (ratio, sooner) = next(iter(measured.items()))
    print(f"\ntarget on {name}: steady state >= 0.95 of the better peer: {ratio:.2f} "
          f"({'met' if ratio >= 0.95 else 'NOT met'}); first step >= 5x sooner: {sooner:.1f}x "
          f"({'met' if sooner >= 5 else 'NOT met'})")
    return 0 if ratio >= 0.95 and sooner >= 5 else 1


if __name__ == "__main__":
    sys.exit(main())
