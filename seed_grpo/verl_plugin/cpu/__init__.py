"""Everything that verl needs in order to run on a CPU. A run on GPUs loads none of it."""
