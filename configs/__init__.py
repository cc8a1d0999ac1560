"""Hydra configuration, found as `pkg://seed_grpo.configs`."""
