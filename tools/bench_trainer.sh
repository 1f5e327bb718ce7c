#!/usr/bin/env bash
# Speed of isoflop-trainer beside PyTorch, eager and torch.compile: the same
# machine, tokens, shapes and threads, in turn, the median of five rounds, one
# table. Builds what is missing. Exit status 1 if the first row misses its target.
#
#   tools/bench_trainer.sh                      all rows, about 15 minutes
#   tools/bench_trainer.sh --rounds 3 --case 'd128 L4=128,4,4,512,128,32,2'
#                                               NAME=d,layers,heads,ff,T,B,threads
#
# ISOFLOP_BUILD_DIR: another build than build/release.
set -euo pipefail
cd "$(dirname "$0")/.."
case "${1:-}" in -h|--help) sed -n '2,10p' "$0" | sed 's/^# \{0,1\}//'; exit 0 ;; esac

build=${ISOFLOP_BUILD_DIR:-build/release}
if [ ! -f "$build/build.ninja" ]; then
  tools/setup.sh
  cmake --preset release >/dev/null
fi
log=$(mktemp)
cmake --build "$build" --target isoflop isoflop-trainer >"$log" 2>&1 || { tail -n 100 "$log"; exit 1; }
rm -f "$log"
python=${ISOFLOP_PYTHON:-${XDG_CACHE_HOME:-$HOME/.cache}/isoflop/venv/bin/python}

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
"$build/tools/isoflop/isoflop" data prepare configs/austen.txt.xz -o "$work/austen" --eval 10% --eval-by chapter >/dev/null
echo "$(nproc) cores, $(sed -n 's/^model name.*: //p' /proc/cpuinfo | head -n 1), torch $("$python" -c 'import torch; print(torch.__version__)'), load $(cut -d' ' -f1 /proc/loadavg)"
"$python" bench/trainer/compare.py --trainer "$build/worker/trainer/isoflop-trainer" --dataset "$work/austen/dataset.json" "$@"
