#!/usr/bin/env bash
# Run a script of the project, such as `train.py stage=rlvr`, in the directory that is mounted.
set -euo pipefail
script=${1:?name a script: train.py or eval.py, and its settings}
shift
exec /opt/earwitness/.venv/bin/python "/opt/earwitness/$script" "$@"
