"""Training and benchmark data."""

from seed_grpo.data.validate import check_plain_path, validate_parquet

__all__ = ["check_plain_path", "validate_parquet"]
