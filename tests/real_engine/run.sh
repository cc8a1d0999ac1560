#!/usr/bin/env bash
# The tests with vLLM, in an environment of their own making. Arguments go to pytest.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
. examples/environment.sh
make_vllm_environment
exec "$vllm_venv/bin/python" -m pytest tests/real_engine "$@"
