"""What the batch scripts do on a SLURM cluster, which `scripts/slurm.sh` starts on one machine."""
