#!/usr/bin/env bash
# What the tests of the trainer require and what they reach here, as one table:
# runs the trainer's test programs one after the other and gathers the rows that
# they print. About four minutes on two cores. Exit status 1 if a test fails.
#
#   tools/trainer_table.sh                 build/release, built where needed
#   ISOFLOP_BUILD_DIR=DIR tools/trainer_table.sh
set -euo pipefail
cd "$(dirname "$0")/.."
case "${1:-}" in -h|--help) sed -n '2,7p' "$0" | sed 's/^# \{0,1\}//'; exit 0 ;; esac

build=${ISOFLOP_BUILD_DIR:-build/release}
programs=(trainer_plain_test trainer_network_test communicator_test trainer_ranks_test trainer_killed_test
          trainer_resume_test trainer_wrong_trial_test trainer_gpu_test)
if [ ! -f "$build/build.ninja" ]; then
  tools/setup.sh
  cmake --preset release >/dev/null
fi
log=$(mktemp)
trap 'rm -f "$log"' EXIT
cmake --build "$build" --target "${programs[@]}" >"$log" 2>&1 || { tail -n 50 "$log"; exit 1; }

echo "$(nproc) cores, $(sed -n 's/^model name.*: //p' /proc/cpuinfo | head -n 1), $("$build/worker/trainer/isoflop-trainer" --version | sed -n 2p)"
echo
echo "| test | required | reached |"
echo "|---|---|---|"
status=0
summary=""
for program in "${programs[@]}"; do
  started=$SECONDS
  OMP_NUM_THREADS=1 "$build/tests/worker/trainer/$program" >"$log" 2>&1 && ended=passed || { ended=FAILED; status=1; }
  grep '^| ' "$log" || true
  grep '^\[  FAILED  \]' "$log" | sort -u >&2 || true
  count=$(sed -n 's/^\[  PASSED  \] \([0-9]*\) test.*/\1/p' "$log")
  skipped=$(sed -n 's/^\[  SKIPPED \] \([0-9]*\) test.*/, \1 skipped/p' "$log")
  summary+="$ended: $program, ${count:-0} tests$skipped, $((SECONDS - started)) s"$'\n'
done
printf '\n%s' "$summary"
exit "$status"
