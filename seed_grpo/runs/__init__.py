"""What a run leaves in its folder: records, checkpoints, summary."""
