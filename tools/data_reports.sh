#!/usr/bin/env bash
# Reports of the published studies in tests/data, each made on one core and on all
# (the same bytes, or exit status 1), opened in headless Chromium and pictured.
#
#   tools/data_reports.sh               reports in ./results/data_reports, about two minutes
#   tools/data_reports.sh DIR [NAME..]  in DIR; of epoch llama3 gemstones gadre porian those named
#
# ISOFLOP: the program; default build/release/tools/isoflop/isoflop.
set -euo pipefail
case "${1:-}" in -h|--help) sed -n '2,8p' "$0" | sed 's/^# \{0,1\}//'; exit 0 ;; esac
root=$(cd "$(dirname "$0")/.." && pwd)
out=${1:-$root/results/data_reports}
[ $# -gt 0 ] && shift
names=("$@")
[ ${#names[@]} -gt 0 ] || names=(epoch llama3 gemstones gadre porian)
isoflop=${ISOFLOP:-$root/build/release/tools/isoflop/isoflop}
[ -x "$isoflop" ] || { echo "data_reports: no program at $isoflop"$'\n'"cure: tools/test.sh, or ISOFLOP=..." >&2; exit 1; }
isoflop=$(realpath "$isoflop")
mkdir -p "$out"
out=$(cd "$out" && pwd)
export ISOFLOP_HOME=$out/home  # read by nothing here, and nobody's store is touched
failed=0

# The rows of FILE whose cells of the columns $2, $3, ... match, with the header.
rows_of() {
  local file=$root/tests/data/$1 pattern=$2
  { head -n 1 "$file"; tail -n +2 "$file" | grep -E "$pattern"; }
}

# A report that refuses a number is written all the same, with exit status 4.
refused() { [ "$1" -eq 4 ] || exit "$1"; }

report() {
  local name=$1 csv=$out/$1.csv
  shift
  rm -rf "$out/$name" "$out/$name.one_core"
  local begin
  begin=$(date +%s.%N)
  (cd "$out" && "$isoflop" -q report "$name.csv" -o "$name" "$@") || refused $?
  local seconds
  seconds=$(echo "$(date +%s.%N) - $begin" | bc)
  (cd "$out" && taskset -c 0 "$isoflop" -q report "$name.csv" -o "$name.one_core" "$@") >/dev/null 2>&1 || refused $?
  local same="the same bytes on 1 core and $(nproc)"
  if ! diff -r "$out/$name" "$out/$name.one_core" >/dev/null; then same="OTHER BYTES on 1 core"; failed=1; fi
  rm -rf "$out/$name.one_core"
  printf '\n%s: %s rows, %.1f s, %s\n' "$name" "$(($(wc -l <"$csv") - 1))" "$seconds" "$same"
  "$root/tools/check_page.py" "$out/$name/report.html" --full --height 4000 --screenshot "$out/$name.png" || failed=1
  sed -n '/^## Verdict/,/^## /{/^## /d;/^$/d;p}' "$out/$name/report.md"
}

for name in "${names[@]}"; do
  case "$name" in
    # Besiroglu et al. 2024 drop the five highest losses.
    epoch) cp "$root/tests/data/epoch_chinchilla_svg_extracted_data.csv" "$out/epoch.csv"; report epoch --outliers 5 ;;
    llama3) cp "$root/tests/data/llama3_isoflops.csv" "$out/llama3.csv"; report llama3 ;;
    # FLOPs a token as McLeish et al. 2025 count them: attention and the head too.
    gemstones) cp "$root/tests/data/gemstones_hot_curves_1100.csv" "$out/gemstones.csv"
      report gemstones --flops exact --derive "flops_exact=(depth*(90*width*width+21855.75*width)+301845*width)*tokens" ;;
    # One of three training sets, with its own validation loss.
    gadre) rows_of gadre_overtraining_104.csv '^[^,]*,c4_original,' >"$out/gadre.csv"; report gadre --column loss=loss_c4_val ;;
    # Optima, one N a budget: the set that repeats Kaplan et al., and the tuned one.
    porian)
      rows_of porian_refinedweb_optimal_pairs.csv ',rw,base,long,kaplan,kaplan,' >"$out/porian_kaplan.csv"; report porian_kaplan
      rows_of porian_refinedweb_optimal_pairs.csv ',rw,tuned,short,const,standard,' >"$out/porian_tuned.csv"; report porian_tuned ;;
    *) echo "data_reports: no study '$name'; there are epoch llama3 gemstones gadre porian" >&2; exit 2 ;;
  esac
done
exit $failed
