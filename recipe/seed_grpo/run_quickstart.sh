#!/usr/bin/env bash
# A small model learns sums on the CPU, in minutes: does the recipe work here?
set -euo pipefail
base="${QUICKSTART_DIR:-runs/quickstart/base}"
python3 -c 'import sys, pathlib, seed_grpo.quickstart.prepare as q; q.prepare(pathlib.Path(sys.argv[1]), seed=1)' "$base"
VERL_PLATFORM=cpu exec python3 -m recipe.seed_grpo.main_seed_grpo \
    experiment=quickstart platform=cpu quickstart_dir="$base" trainer.default_local_dir=runs/recipe "$@"
