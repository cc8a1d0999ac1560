#!/usr/bin/env bash
# Writes requirements/gpu.txt anew: what pip chooses today around requirements/gpu.in, for Linux with Python 3.12.
# Nothing is installed, and little is fetched but metadata: it works on a machine without a GPU.
set -euo pipefail
cd "$(dirname "$0")/.."
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
"${PYTHON:-python3.12}" -c 'import sys; sys.exit(sys.version_info[:2] != (3, 12))' || {
    echo "Name a Python 3.12 with PYTHON=/path/to/python3.12: the lock holds for that version." >&2
    exit 1
}
"${PYTHON:-python3.12}" -m venv "$scratch/venv"
"$scratch/venv/bin/pip" install --quiet --disable-pip-version-check --dry-run --ignore-installed \
    --report "$scratch/report.json" -r requirements/gpu.in ".[train]"
"$scratch/venv/bin/python" - "$scratch/report.json" >requirements/gpu.txt <<'PYTHON'
import json, sys

print("# One NVIDIA machine or many: Linux, Python 3.12, CUDA 13. Written by requirements/lock_gpu.sh; change gpu.in, not this.")
packages = [item["metadata"] for item in json.load(open(sys.argv[1]))["install"]]
for name, version in sorted({(package["name"], package["version"]) for package in packages}, key=lambda p: p[0].lower()):
    if name != "seed-grpo":
        print(f"{name}=={version}")
PYTHON
