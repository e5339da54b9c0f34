#!/usr/bin/env bash
# Run a command beside a SLURM cluster of one machine, on loopback, that is gone afterwards:
#     scripts/slurm.sh .venv/bin/python -m pytest -q -m slurm tests/slurm
# Debian's packages are installed where they are missing. Needs root; without it, or without a
# network of packages, it says so and ends with 75, which is no failure of the tests.
set -euo pipefail
cd "$(dirname "$0")/.."

skip() {
    echo "SKIPPED: no SLURM cluster could be started: $1" >&2
    exit 75
}

[ "$(id -u)" = 0 ] || skip "its daemons need root"
if ! command -v slurmctld slurmd sbatch munged >/dev/null; then
    command -v apt-get >/dev/null || skip "slurmctld, slurmd and munge are not installed"
    export DEBIAN_FRONTEND=noninteractive
    { apt-get update -qq && apt-get install -qq -y --no-install-recommends \
        slurmctld slurmd slurm-client munge; } >/dev/null 2>&1 ||
        skip "apt-get cannot install slurmctld, slurmd, slurm-client and munge"
fi

PLACE=$(mktemp -d /tmp/slurm-XXXXXX)
HOST=$(hostname -s)
PORT=$((20000 + RANDOM % 10000))
mkdir -m 755 "$PLACE"/{munge,state,spool}
chmod 755 "$PLACE"
head -c 1024 /dev/urandom >"$PLACE/munge/key"
chmod 400 "$PLACE/munge/key"

cat >"$PLACE/slurm.conf" <<EOF
ClusterName=one
SlurmctldHost=$HOST(127.0.0.1)
SlurmctldPort=$PORT
SlurmdPort=$((PORT + 1))
SlurmUser=root
AuthType=auth/munge
AuthInfo=socket=$PLACE/munge/socket
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SwitchType=switch/none
SchedulerType=sched/backfill
SchedulerParameters=batch_sched_delay=0,bf_interval=1,sched_min_interval=0
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
GresTypes=gpu
StateSaveLocation=$PLACE/state
SlurmdSpoolDir=$PLACE/spool
SlurmctldPidFile=$PLACE/slurmctld.pid
SlurmdPidFile=$PLACE/slurmd.pid
SlurmctldLogFile=$PLACE/slurmctld.log
SlurmdLogFile=$PLACE/slurmd.log
ReturnToService=2
MpiDefault=none
SlurmdParameters=config_overrides
KillWait=5
JobRequeue=1
AccountingStorageType=accounting_storage/none
JobAcctGatherType=jobacct_gather/none
NodeName=$HOST NodeAddr=127.0.0.1 CPUs=4 RealMemory=4096 Gres=gpu:4 State=UNKNOWN
PartitionName=main Nodes=$HOST Default=YES MaxTime=INFINITE State=UP PriorityTier=1
PartitionName=urgent Nodes=$HOST MaxTime=INFINITE State=UP PriorityTier=2 PreemptMode=OFF
EOF
echo "Name=gpu File=/dev/tty[0-3]" >"$PLACE/gres.conf" # devices that are no GPUs

PIDS=()
leave() {
    squeue -h -o %A 2>/dev/null | sort -u | xargs -r scancel --full --signal=KILL 2>/dev/null || true
    for pid in "${PIDS[@]}"; do kill "$pid" 2>/dev/null || true; done
    for pid in "${PIDS[@]}"; do wait "$pid" 2>/dev/null || true; done
    rm -rf "$PLACE"
}
trap leave EXIT

munged --foreground --force --key-file="$PLACE/munge/key" --socket="$PLACE/munge/socket" \
    --pid-file="$PLACE/munge/pid" --seed-file="$PLACE/munge/seed" \
    --log-file="$PLACE/munge/log" >/dev/null 2>&1 &
PIDS+=($!)
export SLURM_CONF=$PLACE/slurm.conf
for _ in $(seq 100); do munge -n --socket="$PLACE/munge/socket" >/dev/null 2>&1 && break; sleep 0.1; done
slurmctld -D >/dev/null 2>&1 &
PIDS+=($!)
slurmd -D >/dev/null 2>&1 &
PIDS+=($!)
for _ in $(seq 300); do [ "$(sinfo -h -p main -o %t 2>/dev/null)" = idle ] && break; sleep 0.1; done
if [ "$(sinfo -h -p main -o %t 2>/dev/null)" != idle ]; then
    tail -n 20 "$PLACE"/*.log "$PLACE/munge/log" >&2 || true
    skip "its daemons do not come up: see above"
fi
"$@"
