#!/usr/bin/env bash
# Qwen2.5-Math-1.5B, 8 GPUs. The same with baseline=dr_grpo is the run to compare with.
set -euo pipefail
exec python3 -m recipe.seed_grpo.main_seed_grpo experiment=qwen2.5_math_1.5b platform=gpu "$@"
