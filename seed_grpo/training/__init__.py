"""Driving a training run: configuration, checks before it, the process itself, what it leaves."""
