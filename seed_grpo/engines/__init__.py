"""Decoding in this process, for the CPU's rollout server and for evaluation."""
