#!/usr/bin/env bash
# A small model learns sums on the CPU, in minutes: does the recipe work here?
set -euo pipefail
here="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"
base="${QUICKSTART_DIR:-runs/quickstart/base}"
python3 -c 'import sys, pathlib, seed_grpo.quickstart.prepare as q; q.prepare(pathlib.Path(sys.argv[1]), seed=1)' "$base"
exec python3 "$here/main_seed_grpo.py" experiment=quickstart platform=cpu quickstart_dir="$base" \
    trainer.default_local_dir=runs/recipe "$@"
