#!/usr/bin/env bash
# Build the containers with whatever can build them here, and start what was built:
#     scripts/containers.sh
# Where nothing can, or no registry gives the base, it says so loudly and ends with 75, which is no
# failure.
set -euo pipefail
cd "$(dirname "$0")/.."

BASE=$(sed -n 's/^FROM //p' containers/Dockerfile)
built=0

said() { echo "SKIPPED: $1" >&2; }

for tool in docker podman; do
    if ! command -v "$tool" >/dev/null; then
        said "containers/Dockerfile is not built by $tool, which is not installed"
    elif ! timeout 60 "$tool" info >/dev/null 2>&1; then
        said "containers/Dockerfile is not built by $tool, whose daemon does not answer"
    elif ! timeout 600 "$tool" pull --quiet "$BASE" >/dev/null 2>&1; then
        said "containers/Dockerfile is not built by $tool, which cannot fetch $BASE"
    else
        "$tool" build --quiet --file containers/Dockerfile --tag earwitness .
        "$tool" run --rm earwitness >/dev/null
        [ "$("$tool" run --rm --entrypoint id earwitness -u)" != 0 ]
        "$tool" run --rm --network none earwitness eval.py stage=probe probe.limit=4 data.root=data
        built=1
        break
    fi
done
if ! command -v apptainer >/dev/null; then
    said "containers/earwitness.def is not built by apptainer, which is not installed"
else
    PLACE=$(mktemp -d)
    trap 'rm -rf "$PLACE"' EXIT
    if ! timeout 600 apptainer pull --disable-cache "$PLACE/base.sif" "docker://$BASE" >/dev/null 2>&1
    then
        said "containers/earwitness.def is not built by apptainer, which cannot fetch $BASE"
    else
        apptainer build "$PLACE/earwitness.sif" containers/earwitness.def
        apptainer run "$PLACE/earwitness.sif" train.py --help >/dev/null
        built=1
    fi
fi
[ "$built" = 1 ] || exit 75
