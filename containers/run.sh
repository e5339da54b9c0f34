#!/usr/bin/env bash
# Run a script of the project, such as `train.py stage=rlvr`, in the directory that is mounted.
set -euo pipefail
script=${1:?name a script: train.py or eval.py, and its settings}
shift
place=$(dirname "$0")/..
exec "$place/.venv/bin/python" "$place/$script" "$@"
