#!/usr/bin/env bash
# A small model learns sums with SEED-GRPO through verl, Ray and FSDP, on this machine's CPU. It takes minutes and
# downloads no model or data. Arguments go to `seed-grpo quickstart`, such as --seed 2 or seed_grpo.alpha=0.5; with
# --engine vllm it runs in an environment of its own, with vLLM's CPU build.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
. examples/environment.sh
case " $* " in
*" --engine vllm "* | *" --engine=vllm "*)
    make_vllm_environment
    venv=$vllm_venv
    ;;
*) make_environment cpu.txt ;;
esac
exec "$venv/bin/seed-grpo" quickstart "$@"
