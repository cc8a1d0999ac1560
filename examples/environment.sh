# shellcheck shell=bash
# Makes .venv with the pinned CPU set, unless it is there already; make_vllm_environment makes .venv-vllm, with vLLM's
# CPU build. Sourced by quickstart.sh, tests/run.sh and others, which stand in the project's root by then.
#
# PYTHON                  the interpreter (default python3; 3.10 to 3.12, tested with 3.11)
# SEED_GRPO_VENV          the environment's folder (default .venv)
# SEED_GRPO_VLLM_VENV     the folder of the environment with vLLM (default .venv-vllm)
# SEED_GRPO_TORCH_INDEX   where torch comes from. PyPI's torch for Linux brings several GB of CUDA with it; the CPU build
#                         is at https://download.pytorch.org/whl/cpu

venv="${SEED_GRPO_VENV:-.venv}"
vllm_venv="${SEED_GRPO_VLLM_VENV:-.venv-vllm}"

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

# The pins of the CPU set with vLLM, all but torch's. Where both lists name a package, the version of the first holds.
cpu_vllm_pins() {
    awk -F== '!/^#/ && $1 != "torch" && !seen[tolower($1)]++' requirements/cpu_vllm.txt requirements/cpu.txt
}

# vLLM's CPU build beside the CPU set. It needs an older fastapi than that set, and asks for packages that it does not
# use here: everything but torch is installed without dependencies, from the two lists alone.
make_vllm_environment() {
    local stamp="$vllm_venv/.seed-grpo-cpu_vllm.txt" state
    state=$(cat requirements/cpu.txt requirements/cpu_vllm.txt requirements/dev.txt pyproject.toml setup.py | sha256sum)
    if [[ -f "$stamp" && "$(cat "$stamp")" == "$state" ]]; then
        return
    fi
    "${PYTHON:-python3}" -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11))' || {
        echo "The set with vLLM is for Python 3.11: name it with PYTHON=/path/to/python3.11." >&2
        exit 1
    }
    echo "Installing the CPU set with vLLM into $vllm_venv (once; 3 GB, a few minutes) ..." >&2
    [[ -x "$vllm_venv/bin/python" ]] || "${PYTHON:-python3}" -m venv "$vllm_venv"
    local pip=("$vllm_venv/bin/pip" install --quiet --disable-pip-version-check --no-compile)
    # Where the CPU set is installed already, its files are linked: pip then installs only what differs.
    local packages=lib/python3.11/site-packages
    if [[ "$(cat "$venv/.seed-grpo-cpu.txt" 2>/dev/null)" == "$(state_of cpu.txt)" && -d "$venv/$packages" ]]; then
        cp --recursive --link --remove-destination "$venv/$packages/." "$vllm_venv/$packages/" 2>/dev/null ||
            cp --recursive --remove-destination "$venv/$packages/." "$vllm_venv/$packages/"
    fi
    "${pip[@]}" ${SEED_GRPO_TORCH_INDEX:+--index-url "$SEED_GRPO_TORCH_INDEX"} "$(grep '^torch==' requirements/cpu.txt)"
    "$vllm_venv/bin/python" -c 'import sys, torch; sys.exit(torch.version.cuda is not None)' || {
        echo "vLLM's CPU build needs torch's CPU build, and this is CUDA's: remove $vllm_venv, and set" \
            "SEED_GRPO_TORCH_INDEX=https://download.pytorch.org/whl/cpu." >&2
        exit 1
    }
    "${pip[@]}" --no-deps -r <(cpu_vllm_pins)
    "${pip[@]}" -r <(grep -E '^(hypothesis|pytest|pytest-rerunfailures|pytest-timeout|pytest-xdist)==' requirements/dev.txt) \
        'setuptools>=77' wheel
    "${pip[@]}" --no-deps --no-build-isolation -e .
    echo "$state" >"$stamp"
}
