#!/usr/bin/env bash
# Builds docker/Dockerfile.cpu without a Docker engine and tries the image: buildah, as root, on Debian.
#
#   bash docker/check.sh [OPTION OF buildah build]...
#
# Ten minutes and some 10 GB in FOLDER. If the base image cannot be pulled, debootstrap makes one of its name from Debian's
# packages. Options reach `buildah build`, such as --build-arg TORCH_INDEX=https://mirror.example/cpu, or
# --volume /etc/pip.conf:/etc/pip.conf:ro for a pip that installs from a mirror.
#
# FOLDER   where images and containers are kept (default /var/tmp/seed-grpo-image)
# MIRROR   Debian's mirror (default http://deb.debian.org/debian)
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
if [[ "${1:-}" == --help || "${1:-}" == -h ]]; then
    sed -n '2,/^set/s/^# \{0,1\}//p' "${BASH_SOURCE[0]}"
    exit
fi

folder="${FOLDER:-/var/tmp/seed-grpo-image}"
image=seed-grpo:check
base=$(sed -n 's/^FROM //p' docker/Dockerfile.cpu)
export STORAGE_DRIVER=vfs BUILDAH_ISOLATION=chroot
for program in buildah debootstrap; do
    command -v "$program" >/dev/null || {
        echo "docker/check.sh needs $program: apt-get install buildah debootstrap" >&2
        exit 1
    }
done
[[ "$(id -u)" == 0 ]] || {
    echo "docker/check.sh must run as root, as debootstrap does." >&2
    exit 1
}
mkdir -p "$folder"

in_storage() { # command of buildah and its arguments
    buildah --root "$folder/storage" --runroot "$folder/run" "$@"
}

make_base() {
    echo "== $base from debootstrap"
    rm -rf "$folder/base"
    # debootstrap does not know what provides the virtual package python3.11-distutils, which the second one needs.
    debootstrap --variant=minbase --include=python3.11,python3.11-venv,python3-distutils,ca-certificates \
        bookworm "$folder/base" "${MIRROR:-http://deb.debian.org/debian}" >"$folder/debootstrap.log" 2>&1 || {
        tail -n 5 "$folder/debootstrap.log" >&2
        echo "debootstrap made no base image: see $folder/debootstrap.log. Remedy: check the network and MIRROR." >&2
        exit 1
    }
    rm -rf "$folder"/base/var/cache/apt/* "$folder"/base/var/lib/apt/lists/*
    local container
    container=$(in_storage from scratch)
    in_storage add --quiet "$container" "$folder/base" / >/dev/null
    in_storage config --env PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin "$container"
    in_storage commit --quiet "$container" "docker.io/library/$base" >/dev/null
    in_storage rm "$container" >/dev/null
    rm -rf "$folder/base"
}

in_storage inspect --type image "docker.io/library/$base" >/dev/null 2>&1 ||
    in_storage pull --quiet "docker.io/library/$base" >/dev/null 2>&1 || make_base
echo "== build"
in_storage build --format docker --file docker/Dockerfile.cpu --tag "$image" "$@" . >"$folder/build.log" 2>&1 || {
    tail -n 20 "$folder/build.log" >&2
    exit 1
}
container=$(in_storage from "$image")
trap 'in_storage rm "$container" >/dev/null' EXIT
in_image() { # command
    in_storage run --user 10001 "$container" -- "$@"
}
echo "== as the image's user"
in_image id
echo "== torch"
in_image python -c 'import torch; print(torch.__version__); assert torch.version.cuda is None, "CUDA came along"'
echo "== doctor"
in_image seed-grpo doctor --quick
echo "== two steps of training"
in_image seed-grpo quickstart --out /seed-grpo/runs/check trainer.total_training_steps=2 trainer.test_freq=2
echo "== size"
in_storage images --format '{{.Name}}:{{.Tag}} {{.Size}}' | grep check
