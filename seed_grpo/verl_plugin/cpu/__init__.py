"""What verl needs in order to run on a CPU; a run on GPUs loads nothing of it."""
