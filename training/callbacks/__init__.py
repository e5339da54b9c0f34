"""What accompanies a training: metrics, rollouts, checkpoints, re-audits."""
