"""SEED-GRPO as a recipe: `seed-grpo train --verbose`, started the way verl's recipes are.

python3 -m recipe.seed_grpo.main_seed_grpo experiment=qwen2.5_math_7b platform=gpu seed_grpo.alpha=0.05
"""

from __future__ import annotations

import runpy
import sys

if __name__ == "__main__":
    sys.argv[1:1] = ["train", "--verbose"]
    runpy.run_module("seed_grpo.cli", run_name="__main__")
