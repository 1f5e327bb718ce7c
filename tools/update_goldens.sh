#!/usr/bin/env bash
# Writes tests/golden/ anew from what the programs print now; read the difference
# like code.
#
#   tools/update_goldens.sh [BUILD_DIR]
set -euo pipefail
cd "$(dirname "$0")/.."
build=${1:-build/release}
ISOFLOP_UPDATE_GOLDENS=1 ctest --test-dir "$build" -L unit -R 'report_test' --output-on-failure
git --no-pager diff --stat -- tests/golden
