"""What a run would cost: time by stage, GPU hours, memory by part, from a written model (docs/planning.md)."""
