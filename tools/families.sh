#!/usr/bin/env bash
# Trains the families' studies on six Jane Austen novels (n-gram models of order 1 to 5,
# a ladder of transformers, a ladder of LSTMs) on 2 CPU cores and puts them on one page:
#
#   tools/families.sh [-o DIR]     default results/families
#
# Again: goes on, and trains nothing twice.
set -euo pipefail
cd "$(dirname "$0")/.."
out=results/families
while [ $# -gt 0 ]; do
  case "$1" in
    -o) shift; out="${1:?-o needs a folder}" ;;
    -h|--help) sed -n '2,7p' "$0" | sed 's/^# \{0,1\}//'; exit 0 ;;
    *) echo "tools/families.sh: unknown option '$1'; see --help" >&2; exit 2 ;;
  esac
  shift
done
isoflop=""
for build in "${ISOFLOP_BUILD_DIR:-build/release}" build/quickstart; do
  if [ -z "$isoflop" ] && [ -x "$build/tools/isoflop/isoflop" ]; then isoflop="$build/tools/isoflop/isoflop"; fi
done
if [ -z "$isoflop" ]; then
  echo "tools/families.sh: isoflop is not built" >&2
  echo "cure: tools/quickstart.sh, or cmake --preset release && cmake --build --preset release" >&2
  exit 1
fi
mkdir -p "$out"
out=$(cd "$out" && pwd)
export ISOFLOP_HOME="${ISOFLOP_HOME:-$out/home}"
started=$SECONDS
# 4: a number was refused somewhere; the report says which.
for study in transformer lstm; do
  "$isoflop" run "configs/families_$study.yaml" -y -o "$out/$study" || [ $? = 4 ]
done
"$isoflop" report austen-transformer --beside austen-lstm -o "$out" || [ $? = 4 ]
"$isoflop" compare austen-transformer austen-lstm || [ $? = 4 ]
echo "families: $((SECONDS - started)) s; $out/report.html, and with ISOFLOP_HOME=$ISOFLOP_HOME the store"
