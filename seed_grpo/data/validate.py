"""Whether a parquet file is data that verl and the reward can use, said before anything starts."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from seed_grpo.errors import SeedGrpoError, UsageError

COLUMNS = ("prompt", "data_source", "reward_model")
PATTERN_SIGNS = ("[", "*", "?", "::", "$")
"""verl reads files by `datasets`, which takes the first four for patterns and the last for a variable."""
REMEDY = "prepare it with `seed-grpo data prepare`."


@dataclass(frozen=True)
class ParquetSummary:
    """A checked file: its path and its number of rows."""

    path: str
    rows: int


def validate_parquet(path: str | Path, *, gold: bool = True) -> ParquetSummary:
    """Check a file of verl's data format: it can be read, it has the columns, every row has a prompt and a gold answer.

    Args:
        path: the file.
        gold: whether gold answers are needed.

    Raises:
        SeedGrpoError: naming the file, and the column or the row, with the remedy.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    file = Path(path).expanduser()
    if not file.exists():
        raise SeedGrpoError(f"The data file {path} does not exist.", REMEDY)
    if not file.is_file():
        raise SeedGrpoError(f"{path} is a folder, not a parquet file.", "name the file in it.")
    try:
        table = pq.read_table(file)
    except (pa.ArrowException, OSError) as error:
        raise SeedGrpoError(f"{path} is not a parquet file ({type(error).__name__}).", REMEDY) from error
    for column in COLUMNS if gold else COLUMNS[:-1]:
        if column not in table.column_names:
            raise SeedGrpoError(f"{path} has no column {column!r}; it has {', '.join(table.column_names)}.", REMEDY)
    if table.num_rows == 0:
        raise SeedGrpoError(f"{path} has no rows.", REMEDY)
    golds = table.column("reward_model").to_pylist() if gold else [None] * table.num_rows
    for row, (prompt, reward_model) in enumerate(zip(table.column("prompt").to_pylist(), golds, strict=True)):
        if not _is_prompt(prompt):
            raise SeedGrpoError(f"{path}, row {row}: prompt is not a list of messages with role and content.", REMEDY)
        if gold and not _has_gold(reward_model):
            raise SeedGrpoError(f"{path}, row {row}: reward_model.ground_truth holds no gold answer.", REMEDY)
    return ParquetSummary(str(path), table.num_rows)


def check_plain_path(path: str | Path, remedy: str = "rename the file or its folder.") -> None:
    """Check that verl finds the file with this path.

    Raises:
        UsageError: naming a sign of the path that verl takes for something else.
    """
    whole = str(Path(path).expanduser().absolute())
    sign = next((sign for sign in PATTERN_SIGNS if sign in whole), None)
    if sign is not None:
        raise UsageError(f"The path {whole} has the sign {sign}, which verl does not take as it is.", remedy)


def _is_prompt(prompt: object) -> bool:
    return (
        isinstance(prompt, list)
        and bool(prompt)
        and all(isinstance(message, dict) and message.get("role") and message.get("content") for message in prompt)
    )


def _has_gold(reward_model: object) -> bool:
    gold = reward_model.get("ground_truth") if isinstance(reward_model, dict) else None
    answers = gold if isinstance(gold, list) else [gold]
    return bool(answers) and all(answer is not None and str(answer).strip() not in ("", "nan") for answer in answers)
