#!/usr/bin/env bash
# Download all wheels of requirements.lock, and uv, into a directory, for machines without internet:
#     scripts/wheels.sh wheels        and on those: WHEELS=wheels make setup
# Wheels are chosen for this machine, and for the Python of .venv, or else of PYTHON.
set -euo pipefail
cd "$(dirname "$0")/.."

PLACE=${1:?name the directory: scripts/wheels.sh DIRECTORY}
PYTHON=${PYTHON:-$(command -v python3.11 || command -v python3)}
TARGET=$PYTHON
[ -x .venv/bin/python ] && TARGET=.venv/bin/python

if ! "$TARGET" -c 'import sys; sys.exit(sys.version_info < (3, 11))'; then
    echo "error: $TARGET is older than 3.11: name a newer one, PYTHON=python3.12 make wheels" >&2
    exit 2
fi
if ! "$PYTHON" -m pip --version >/dev/null 2>&1; then
    BOOT=$(mktemp -d)
    trap 'rm -rf "$BOOT"' EXIT
    if ! "$PYTHON" -m venv "$BOOT" 2>/dev/null; then
        echo "error: $PYTHON has neither pip nor ensurepip, but pip downloads the wheels:" >&2
        echo "       install it, such as with 'apt-get install python3-pip'" >&2
        exit 2
    fi
    PYTHON=$BOOT/bin/python
fi
for list in scripts/uv.txt requirements.lock; do
    "$PYTHON" -m pip --python "$TARGET" --disable-pip-version-check download --quiet --no-deps \
        --only-binary :all: --require-hashes -r "$list" -d "$PLACE"
done
echo "$(find "$PLACE" -name '*.whl' | wc -l) wheels in $PLACE, for $("$TARGET" --version):" \
    "WHEELS=$PLACE make setup"
