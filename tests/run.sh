#!/usr/bin/env bash
# All tests, in an environment of their own making. Arguments go to pytest, such as -m "not e2e" for the fast ones, or
# -n 0 for one process instead of two: one for what starts Ray and one for the rest (see conftest.py).
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
. examples/environment.sh
make_environment dev.txt
exec "$venv/bin/python" -m pytest -n 2 --dist loadgroup --no-loadscope-reorder --durations=25 "$@"
