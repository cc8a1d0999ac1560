#!/usr/bin/env bash
# Qwen2.5-Math-7B on 8 GPUs. Add baseline=dr_grpo for the run to compare with.
set -euo pipefail
here="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"
exec python3 "$here/main_seed_grpo.py" experiment=qwen2.5_math_7b platform=gpu "$@"
