#!/usr/bin/env bash
# Writes requirements/cpu.txt anew: the versions that pip chooses today around the ones fixed here.
set -euo pipefail
cd "$(dirname "$0")/.."
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
"${PYTHON:-python3}" -m venv "$scratch"
"$scratch/bin/pip" install --quiet torch==2.13.0
"$scratch/bin/pip" install --quiet torch==2.13.0 tensordict==0.10.0 transformers==5.10.4 ray==2.60.0 ".[train]"
{
    echo "# The embedded default, without a GPU: Linux, Python 3.11. Written by requirements/lock.sh; change that, not this."
    "$scratch/bin/pip" freeze | grep -v '^seed-grpo' | sed -E 's/\+cpu$//'
} > requirements/cpu.txt
