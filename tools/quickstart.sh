#!/usr/bin/env bash
# From nothing to a scaling-law report: installs what is missing, builds, trains
# the 60 small models of configs/quickstart_austen.yaml on two CPU cores, fits
# L(N, D) and the compute-optimal frontier, and writes the report.
#
#   tools/quickstart.sh            results in ./results/quickstart
#   tools/quickstart.sh DIR        results in DIR
# Ctrl-C and the same command again: it goes on where it was.
set -euo pipefail
cd "$(dirname "$0")/.."
case "${1:-}" in
  -h|--help) sed -n '2,8p' "$0" | sed 's/^# \{0,1\}//'; exit 0 ;;
esac
out="${1:-results/quickstart}"
mkdir -p "$out"

started=$SECONDS
say() { printf '[quickstart %4ds] %s\n' "$((SECONDS - started))" "$*"; }
t0=$SECONDS; tools/setup.sh; install=$((SECONDS - t0))

cmake_args=(-DBUILD_TESTING=OFF)
if [ -n "${ISOFLOP_TORCH_DIR:-}" ]; then cmake_args+=("-DISOFLOP_TORCH_DIR=$ISOFLOP_TORCH_DIR"); fi
t0=$SECONDS
say "build"
log=$(mktemp)
{ cmake --preset release -B build/quickstart "${cmake_args[@]}" && cmake --build build/quickstart --target isoflop isoflop-trainer; } >"$log" 2>&1 \
  || { tail -n 100 "$log"; exit 1; }
rm -f "$log"
build=$((SECONDS - t0))

t0=$SECONDS
export ISOFLOP_HOME="${ISOFLOP_HOME:-$PWD/$out/home}"
build/quickstart/tools/isoflop/isoflop run configs/quickstart_austen.yaml -y -o "$out/report"
study=$((SECONDS - t0))
say "install ${install} s, build ${build} s, study and report ${study} s"
say "the report: $out/report/report.html"
say "query it:   ISOFLOP_HOME=$ISOFLOP_HOME build/quickstart/tools/isoflop/isoflop query 'SELECT * FROM observation'"
