"""Training and benchmark data."""

from seed_grpo.data.validate import validate_parquet

__all__ = ["validate_parquet"]
