"""What a completion is rewarded for."""
