#!/usr/bin/env bash
# The tests with vLLM, in an environment of their own making. Arguments go to pytest. Two processes share the files, of
# which the first takes as long as the others together.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
. examples/environment.sh
make_vllm_environment
exec "$vllm_venv/bin/python" -m pytest -n 2 --dist loadfile --no-loadscope-reorder \
    tests/real_engine/test_vllm_training.py tests/real_engine "$@"
