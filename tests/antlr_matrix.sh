#!/usr/bin/env bash
# The tests of answers and keys, and the comparison with Math-Verify, under both versions of antlr that are in use:
# 4.9.3, which hydra pins, and 4.13.2. A virtual environment for each; needs a package index.
#   bash tests/antlr_matrix.sh [FOLDER FOR THE ENVIRONMENTS]
set -euo pipefail
cd "$(dirname "$0")/.."
folder=${1:-$(mktemp -d)}
for version in 4.9.3 4.13.2; do
    environment=$folder/antlr_$version
    [ -x "$environment/bin/python" ] || "${PYTHON:-python3}" -m venv "$environment"
    "$environment/bin/pip" install --quiet numpy rich mpmath pytest pytest-timeout hypothesis \
        math-verify==0.9.0 "antlr4-python3-runtime==$version"
    echo "antlr $("$environment/bin/pip" show antlr4-python3-runtime | sed -n 's/^Version: //p')"
    PYTHONPATH=$PWD "$environment/bin/python" -m pytest --quiet -p no:cacheprovider \
        tests/unit/test_answers.py tests/unit/test_equivalence.py tests/unit/test_equivalence_golds.py tests/unit/test_sandbox.py \
        tests/unit/test_fuzz_keys.py tests/unit/test_benchmark_clustering.py
done
