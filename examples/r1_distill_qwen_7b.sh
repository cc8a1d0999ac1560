#!/usr/bin/env bash
# DeepSeek-R1-Distill-Qwen-7B, 8 responses per prompt, on one machine with 8 GPUs.
# Arguments are Hydra overrides: baseline=dr_grpo, ablation=alpha_0.5, seed=2, trainer.n_gpus_per_node=4 …
set -euo pipefail
run=(experiment=r1_distill_qwen_7b platform=gpu "$@")
seed-grpo doctor "${run[@]}"
exec seed-grpo train "${run[@]}"
