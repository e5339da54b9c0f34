#!/usr/bin/env bash
# Make .venv hold exactly what requirements.lock says; return at once when it does already.
# VENV=DIRECTORY makes another environment, and PYTHON chooses its Python.
# uv installs, because it follows the lock alone, whatever extra places pip is told to look in.
# WHEELS=DIRECTORY installs from what `make wheels` put there, and asks no network.
set -euo pipefail
cd "$(dirname "$0")/.."

VENV=${VENV:-.venv}
STAMP=$VENV/installed.lock

if cmp -s requirements.lock "$STAMP"; then
    exit 0
fi

FROM=()
if [ -n "${WHEELS:-}" ]; then
    if [ ! -d "$WHEELS" ]; then
        echo "error: WHEELS is $WHEELS, which is no directory: make it where there is internet," >&2
        echo "       with 'make wheels WHEELS=$WHEELS', and copy it here" >&2
        exit 2
    fi
    FROM=(--no-index --find-links "$WHEELS")
    export UV_OFFLINE=1
fi
# pip and uv call the same index by different names; whichever is set counts for both.
INDEX=${UV_DEFAULT_INDEX:-${UV_INDEX_URL:-${PIP_INDEX_URL:-}}}
if [ -n "$INDEX" ]; then
    export UV_DEFAULT_INDEX=$INDEX PIP_INDEX_URL=${PIP_INDEX_URL:-$INDEX}
fi

if uv --version >/dev/null 2>&1; then
    UV=uv
else
    # A small environment for uv alone, inside .venv, so that deleting .venv deletes everything.
    PYTHON=${PYTHON:-python3}
    BOOT=.venv/uv
    GET=(install --quiet --disable-pip-version-check --require-hashes -r scripts/uv.txt)
    if ! "$PYTHON" -c 'import sys; sys.exit(sys.version_info < (3, 11))'; then
        echo "error: $PYTHON is older than 3.11: name a newer one, PYTHON=python3.12 make setup" >&2
        exit 2
    fi
    if "$PYTHON" -c 'import ensurepip' 2>/dev/null; then
        "$PYTHON" -m venv "$BOOT"
        "$BOOT/bin/python" -m pip "${GET[@]}" "${FROM[@]}"
    elif "$PYTHON" -m pip --version >/dev/null 2>&1; then # Debian splits ensurepip off
        "$PYTHON" -m venv --without-pip "$BOOT"
        "$PYTHON" -m pip --python "$BOOT/bin/python" "${GET[@]}" "${FROM[@]}"
    else
        echo "error: there is neither uv, nor pip, nor venv with pip:" >&2
        echo "       install one of them, such as with 'apt-get install python3-venv'" >&2
        exit 2
    fi
    UV=$BOOT/bin/uv
fi

if [ -n "${PYTHON:-}" ]; then
    "$UV" venv --quiet --allow-existing --no-python-downloads --python "$PYTHON" "$VENV"
else
    "$UV" venv --quiet --allow-existing --no-python-downloads --python 3.11 "$VENV" 2>/dev/null ||
        "$UV" venv --quiet --allow-existing "$VENV" # any that pyproject.toml admits
fi
"$UV" pip sync --compile-bytecode --python "$VENV/bin/python" --require-hashes "${FROM[@]}" \
    requirements.lock
cp requirements.lock "$STAMP"
