#!/usr/bin/env bash
# The paper's best row: Qwen2.5-Math-7B, 16 responses per prompt, on one machine with 8 GPUs.
# Arguments are Hydra overrides: baseline=dr_grpo, ablation=alpha_0.5, seed=2, trainer.n_gpus_per_node=4 …
set -euo pipefail
run=(experiment=qwen2.5_math_7b_g16 platform=gpu "$@")
seed-grpo doctor "${run[@]}"
exec seed-grpo train "${run[@]}"
