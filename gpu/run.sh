#!/usr/bin/env bash
# Installs what gpu/bundle.sh packed, without a network, and measures this machine: one stage after the other, each within
# its share of the time. Every result is in OUT/results.json as soon as it is there.
#
#   bash gpu/run.sh OUT SECONDS [OVERRIDE]...
#   bash gpu/run.sh results 1500                          # platform=gpu, on all GPUs of the machine
#   bash gpu/run.sh results 1200 platform=cpu_vllm        # without a GPU, with a bundle of --set cpu_vllm
#
# OVERRIDE are Hydra overrides of all runs, such as trainer.n_gpus_per_node=1. Afterwards,
# `seed-grpo` itself runs with what was installed: PYTHONPATH=TARGET/site python3 -m seed_grpo.cli --help
#
# BUNDLE   the folder with the parts (default gpu/bundle)
# TARGET   an empty folder to install to (default: a temporary one, kept); one that is installed already is used
# PYTHON   the interpreter (default python3)
# STAGES   names of stages, with commas between them (default: all)
set -euo pipefail
here="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"

fail() { # what, remedy
    echo "gpu/run.sh: $1 Remedy: $2" >&2
    exit 2
}

if [[ "${1:-}" == --help || "${1:-}" == -h ]]; then
    sed -n '2,/^set/s/^# \{0,1\}//p' "${BASH_SOURCE[0]}"
    exit
fi
[[ $# -ge 2 && "$2" =~ ^[1-9][0-9]*$ ]] || fail "OUT and SECONDS are needed." "bash gpu/run.sh results 1500"
out=$1 seconds=$2 start=$SECONDS
shift 2
bundle="${BUNDLE:-$here/bundle}"
python="${PYTHON:-python3}"
target="${TARGET:-$(mktemp -d)}"
mkdir -p "$out" "$target"

if [[ ! -f "$target/installed" ]]; then
    [[ -f "$bundle/SHA256SUMS" ]] || fail "$bundle holds no bundle." "bash gpu/bundle.sh, where there is a network."
    while read -r sum part; do
        [[ -f "$bundle/$part" ]] || fail "$part is missing in $bundle." "copy it there from where the bundle was made."
        [[ "$(sha256sum "$bundle/$part")" == "$sum "* ]] || fail "$part is cut or damaged." "copy it again."
    done <"$bundle/SHA256SUMS"
    cut -c 67- "$bundle/SHA256SUMS" | (cd "$bundle" && xargs cat) | tar --extract --directory "$target"
    "$python" -m pip install --quiet --disable-pip-version-check --no-index --no-deps --no-compile --target "$target/site" \
        "$target"/wheels/*.whl || fail "The wheels do not install for $("$python" --version)." \
        "gpu/bundle.sh --set gpu is for Python 3.12, --set cpu_vllm for 3.11: name the right one with PYTHON."
    rm -r "$target/wheels"
    touch "$target/installed"
fi
export PYTHONPATH="$target/site${PYTHONPATH:+:$PYTHONPATH}" HF_HUB_OFFLINE=1 OMP_WAIT_POLICY=PASSIVE
echo "installed in $target after $((SECONDS - start)) s"
exec "$python" "$here/stages.py" --bundle "$target" ${STAGES:+--only "$STAGES"} \
    "$out" "$((seconds - SECONDS + start))" "$@"
