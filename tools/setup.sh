#!/usr/bin/env bash
# Installs what isoflop needs to build: Debian 12 packages, and LibTorch from the
# PyPI wheel into a cache outside the tree. Run it as often as you like: what is
# there already is left alone, and then no root and no network are needed.
#
#   tools/setup.sh                 everything
#   tools/setup.sh --no-trainer    without LibTorch (everything but isoflop-trainer builds)
#   tools/setup.sh --with-browser  also headless Chromium, which the report's browser test uses
#   tools/setup.sh --with-transformers  also transformers, which the test of exports uses
#
# Environment: XDG_CACHE_HOME (the cache is $XDG_CACHE_HOME/isoflop or
# ~/.cache/isoflop), ISOFLOP_TORCH_DIR (a torch folder that you have already:
# nothing is downloaded).
set -euo pipefail

TORCH_VERSION=2.11.0
PLOTLY_VERSION=7.1.0
TRANSFORMERS_VERSION=5.24.0
# crt/host_defines.h and nv/target, which CUDA's headers include and none of the
# wheels that torch brings has. Headers alone, of the same CUDA minor version.
CUDA_HEADER_WHEELS=(nvidia-cuda-crt==13.0.88 nvidia-cuda-cccl==13.0.85)
with_trainer=1
with_browser=0
with_transformers=0
for arg in "$@"; do
  case "$arg" in
    --no-trainer) with_trainer=0 ;;
    --with-browser) with_browser=1 ;;
    --with-transformers) with_transformers=1 ;;
    -h|--help) sed -n '2,14p' "$0" | sed 's/^# \{0,1\}//'; exit 0 ;;
    *) echo "tools/setup.sh: unknown option '$arg'; see --help" >&2; exit 2 ;;
  esac
done

started=$SECONDS
cache="${XDG_CACHE_HOME:-$HOME/.cache}/isoflop"
say() { printf '[setup %3ds] %s\n' "$((SECONDS - started))" "$*"; }

packages=(
  g++ cmake ninja-build ccache git pkg-config python3 python3-venv
  libgrpc++-dev libprotobuf-dev protobuf-compiler protobuf-compiler-grpc
  libabsl-dev libsqlite3-dev libsqlitecpp-dev libyaml-cpp-dev nlohmann-json3-dev
  libcli11-dev libspdlog-dev libeigen3-dev libceres-dev libsentencepiece-dev
  libssl-dev zlib1g-dev liblzma-dev libgtest-dev libgmock-dev libgloo-dev xz-utils
)
if [ "$with_browser" = 1 ]; then packages+=(chromium); fi

missing=()
for package in "${packages[@]}"; do
  dpkg-query -W -f='${Status}' "$package" 2>/dev/null | grep -q '^install ok installed' || missing+=("$package")
done
if [ "${#missing[@]}" -gt 0 ]; then
  say "installing ${#missing[@]} Debian packages: ${missing[*]}"
  as_root=()
  if [ "$(id -u)" != 0 ]; then
    if ! command -v sudo >/dev/null; then
      echo "tools/setup.sh: packages are missing and this is not root." >&2
      echo "cure: as root: apt-get install -y --no-install-recommends ${missing[*]}" >&2
      exit 1
    fi
    as_root=(sudo)
  fi
  "${as_root[@]}" apt-get update -qq
  DEBIAN_FRONTEND=noninteractive "${as_root[@]}" apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
  say "Debian packages installed"
else
  say "Debian packages: all ${#packages[@]} are there"
fi

mkdir -p "$cache"
venv="$cache/venv"
pip_install() { "$venv/bin/python" -m pip install -q --disable-pip-version-check "$@"; }
site() { echo "$venv"/lib/python3*/site-packages; }
if [ ! -x "$venv/bin/python" ]; then
  say "making a Python environment in the cache for the wheels"
  python3 -m venv "$venv"
fi
if [ ! -f "$(site)/plotly/package_data/plotly.min.js" ]; then
  say "plotly.js $PLOTLY_VERSION from the PyPI wheel (for the report's figures)"
  pip_install --no-deps "plotly==$PLOTLY_VERSION"
fi
if [ "$with_trainer" = 1 ]; then
  if [ -n "${ISOFLOP_TORCH_DIR:-}" ]; then
    say "LibTorch: yours, ISOFLOP_TORCH_DIR"
  elif [ "$(cat "$cache/torch-version" 2>/dev/null)" = "$TORCH_VERSION" ] && [ -f "$(site)/torch/lib/libtorch_cpu.so" ]; then
    say "LibTorch $TORCH_VERSION: in the cache"
  elif [ -f "$(site)/torch/lib/libtorch_cpu.so" ] && [ -d "$(site)/torch-$TORCH_VERSION.dist-info" ]; then
    say "LibTorch $TORCH_VERSION: in the cache"
    echo "$TORCH_VERSION" > "$cache/torch-version"
  else
    say "LibTorch $TORCH_VERSION from the PyPI wheel (2.7 GB with its CUDA libraries, some minutes)"
    pip_install "torch==$TORCH_VERSION" numpy
    echo "$TORCH_VERSION" > "$cache/torch-version"
    say "LibTorch installed"
  fi
  cuda_headers="$(site)/nvidia/cu13/include"
  if [ -z "${ISOFLOP_TORCH_DIR:-}" ] && ! { [ -f "$cuda_headers/crt/host_defines.h" ] && [ -f "$cuda_headers/nv/target" ]; }; then
    say "CUDA headers from the PyPI wheels: ${CUDA_HEADER_WHEELS[*]}"
    pip_install --no-deps "${CUDA_HEADER_WHEELS[@]}"
  fi
fi
if [ "$with_trainer" = 1 ] && [ "$with_transformers" = 1 ] && [ ! -d "$(site)/transformers-$TRANSFORMERS_VERSION.dist-info" ]; then
  say "transformers $TRANSFORMERS_VERSION from PyPI"
  pip_install "transformers==$TRANSFORMERS_VERSION"
fi
say "ready"
