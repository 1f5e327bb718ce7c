#!/usr/bin/env bash
# Speed of the analysis beside SciPy: the same machine, rows and objective, in
# turn, the median of three rounds, one table with the objective that each
# reached. Builds what is missing. Exit status 1 if a goal is missed or SciPy
# found a lower objective.
#
#   tools/bench_analysis.sh                   about three minutes
#   tools/bench_analysis.sh --rounds 1 --starts 4500
#                                             SciPy runs every start of its grid
#
# ISOFLOP_BUILD_DIR: another build than build/bench.
# ISOFLOP_PYTHON: a Python with SciPy; without it one is made in the cache.
set -euo pipefail
cd "$(dirname "$0")/.."
case "${1:-}" in -h|--help) sed -n '2,13p' "$0" | sed 's/^# \{0,1\}//'; exit 0 ;; esac

SCIPY_VERSION=1.17.1
build=${ISOFLOP_BUILD_DIR:-build/bench}
if [ ! -f "$build/build.ninja" ]; then
  tools/setup.sh --no-trainer
  cmake --preset release -B "$build" -DISOFLOP_WITH_TRAINER=OFF -DBUILD_TESTING=OFF >/dev/null
fi
log=$(mktemp)
cmake --build "$build" --target analysis_bench >"$log" 2>&1 || { tail -n 100 "$log"; exit 1; }
rm -f "$log"

python=${ISOFLOP_PYTHON:-}
if [ -z "$python" ]; then
  venv=${XDG_CACHE_HOME:-$HOME/.cache}/isoflop/bench-venv
  python=$venv/bin/python
  [ -x "$python" ] || python3 -m venv "$venv"
  "$python" -c "import scipy; assert scipy.__version__ == '$SCIPY_VERSION'" 2>/dev/null \
    || "$python" -m pip install -q --disable-pip-version-check "scipy==$SCIPY_VERSION"
fi

# One thread each but where the table says two.
cores=$(nproc)
export OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1
echo "$cores cores, $(sed -n 's/^model name.*: //p' /proc/cpuinfo | head -n 1), SciPy $("$python" -c 'import scipy; print(scipy.__version__)'), load $(cut -d' ' -f1 /proc/loadavg)"
"$python" bench/analysis/compare.py --bench "$build/bench/analysis/analysis_bench" "$@"
