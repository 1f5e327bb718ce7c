#!/usr/bin/env bash
# Installs what is missing, builds everything and runs every test. Ends with
# ctest's summary; its exit status is the tests'.
#
#   tools/test.sh                  the release build (what users run)
#   tools/test.sh --sanitize       the dev build: AddressSanitizer and UBSan
#   tools/test.sh --tsan           ThreadSanitizer, parts without gRPC and Torch
#   tools/test.sh --no-trainer     without LibTorch
#   tools/test.sh -R REGEX         only the tests whose name matches (ctest's -R)
set -euo pipefail
cd "$(dirname "$0")/.."

preset=release
setup_args=(--with-browser --with-transformers)
cmake_args=()
ctest_args=()
while [ $# -gt 0 ]; do
  case "$1" in
    --sanitize) preset=dev ;;
    --tsan) preset=tsan; setup_args+=(--no-trainer) ;;
    --no-trainer) setup_args+=(--no-trainer); cmake_args+=(-DISOFLOP_WITH_TRAINER=OFF) ;;
    -R) shift; ctest_args+=(-R "$1") ;;
    -h|--help) sed -n '2,9p' "$0" | sed 's/^# \{0,1\}//'; exit 0 ;;
    *) echo "tools/test.sh: unknown option '$1'; see --help" >&2; exit 2 ;;
  esac
  shift
done
if [ -n "${ISOFLOP_TORCH_DIR:-}" ]; then cmake_args+=("-DISOFLOP_TORCH_DIR=$ISOFLOP_TORCH_DIR"); fi

started=$SECONDS
say() { printf '[test %4ds] %s\n' "$((SECONDS - started))" "$*"; }
tools/setup.sh "${setup_args[@]}"
say "configure (preset $preset)"
cmake --preset "$preset" "${cmake_args[@]}" >/tmp/isoflop-configure.$$ 2>&1 || { cat /tmp/isoflop-configure.$$; exit 1; }
rm -f /tmp/isoflop-configure.$$
say "build"
built=$SECONDS
if [ -t 1 ]; then
  cmake --build --preset "$preset"
else
  log=$(mktemp)
  cmake --build --preset "$preset" >"$log" 2>&1 || { tail -n 200 "$log"; exit 1; }
  tail -n 1 "$log"; rm -f "$log"
fi
say "built in $((SECONDS - built)) s; tests"

# What was just installed may not be skipped for want of it.
export ISOFLOP_TEST_TRANSFORMERS=1
# ctest's summary is held back to the end; before it stand the ten slowest tests.
set +e
ctest --preset "$preset" -j "$(nproc)" "${ctest_args[@]}" 2>&1 | awk '
  /% tests passed, [0-9]+ tests failed out of/ { summary = 1 }
  summary { held = held $0 "\n"; next }
  { print; fflush() }
  match($0, /[0-9.]+ sec$/) { split(substr($0, RSTART), t, " "); sub(/^.*Test +#[0-9]+: /, ""); sub(/ \.\.\..*$/, ""); seconds[$0] = t[1] }
  END {
    print "\nthe ten slowest tests:"
    for (n = 0; n < 10; n++) {
      best = ""
      for (name in seconds) if (best == "" || seconds[name] + 0 > seconds[best] + 0) best = name
      if (best == "") break
      printf "  %8.2f s  %s\n", seconds[best], best
      delete seconds[best]
    }
    printf "\n%s", held
  }'
status=${PIPESTATUS[0]}
exit "$status"
