"""Supervised learning before reinforcement learning: what a model must be able to do for rewards not to be all zero."""
