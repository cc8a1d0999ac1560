# shellcheck shell=bash
# Makes .venv with the pinned CPU set, unless it is there already. Sourced by quickstart.sh and tests/run.sh, which
# stand in the project's root by then.
#
# PYTHON                  the interpreter (default python3; 3.10 to 3.12, tested with 3.11)
# SEED_GRPO_VENV          the environment's folder (default .venv)
# SEED_GRPO_TORCH_INDEX   where torch comes from. PyPI's torch for Linux brings several GB of CUDA with it; the CPU build
#                         is at https://download.pytorch.org/whl/cpu

venv="${SEED_GRPO_VENV:-.venv}"

state_of() { # requirements file
    cat requirements/cpu.txt "requirements/$1" pyproject.toml setup.py | sha256sum
}

make_environment() { # requirements file
    local stamp="$venv/.seed-grpo-$1"
    if [[ -f "$stamp" && "$(cat "$stamp")" == "$(state_of "$1")" ]]; then
        return
    fi
    "${PYTHON:-python3}" -c 'import sys; sys.exit(not (3, 10) <= sys.version_info[:2] < (3, 13))' || {
        echo "seed-grpo needs Python 3.10, 3.11 or 3.12: name one with PYTHON=/path/to/python3.11." >&2
        exit 1
    }
    echo "Installing the pinned CPU set into $venv (once; a few minutes) ..." >&2
    [[ -x "$venv/bin/python" ]] || "${PYTHON:-python3}" -m venv "$venv"
    # Python compiles what it imports when it first does, which is a small part of what is installed.
    local install=("$venv/bin/pip" install --quiet --disable-pip-version-check --no-compile) torch
    torch=$(grep '^torch==' requirements/cpu.txt)
    "${install[@]}" ${SEED_GRPO_TORCH_INDEX:+--index-url "$SEED_GRPO_TORCH_INDEX"} "$torch"
    "${install[@]}" -r "requirements/$1"
    "${install[@]}" --no-deps -e .
    # The CPU set is part of every other.
    state_of cpu.txt >"$venv/.seed-grpo-cpu.txt"
    state_of "$1" >"$stamp"
}
