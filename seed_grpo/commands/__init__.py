"""The commands of `seed-grpo`, a module each. Heavy imports stay inside the functions."""
