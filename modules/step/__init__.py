"""What a step of any stage needs: collectives, timers, checks for NaN, state to resume."""
