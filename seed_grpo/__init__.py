"""SEED-GRPO: GRPO whose advantages are scaled down where the policy's own answers disagree (arXiv 2505.12346)."""
