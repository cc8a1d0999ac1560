"""What is known of each data set: where it comes from, and how many rows it must have.

A revision is given only if public sources name it for that data set; otherwise it is None, and `seed-grpo data prepare`
asks for one. A new data set is one declaration.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from seed_grpo.data.arithmetic import SPLITS
from seed_grpo.errors import UsageError

TRAIN, TEST = "train", "test"


def exactly(rows: int) -> range:
    """One number of rows."""
    return range(rows, rows + 1)


def describe(rows: range) -> str:
    """A number of rows, or from the least to the most."""
    return str(rows.start) if len(rows) == 1 else f"{rows.start} to {rows.stop - 1}"


@dataclass(frozen=True, eq=False)
class Dataset:
    """A data set.

    Attributes:
        name: its name here, in file names and in results.
        rows: for each of its splits, the number of rows that is right.
        hub_id, revision, hub_config: its place on the Hugging Face hub; without an id, it is made here.
        hub_splits: the hub's names of our splits, if they differ.
        aliases: other names, of the data set and of its files.
        folder: its folder in Dr.GRPO's repository (datasets/evaluation_suite, datasets/train).
        levels: levels that are kept; None keeps every row.
        columns: the column of a role (`seed_grpo.data.rows.ROLES`), if its name there is not one of the usual.
        answer_form: the answer template (`seed_grpo.meaning.answers`) that finds the answer of its own solutions.
        plain_numbers: the answers are numbers, perhaps written with thousands separators or a currency sign.
    """

    name: str
    rows: Mapping[str, range]
    hub_id: str | None = None
    revision: str | None = None
    hub_config: str | None = None
    hub_splits: Mapping[str, str] = field(default_factory=dict)
    aliases: tuple[str, ...] = ()
    folder: str | None = None
    levels: range | None = None
    columns: Mapping[str, str] = field(default_factory=dict)
    answer_form: str = "boxed"
    plain_numbers: bool = False

    @property
    def splits(self) -> tuple[str, ...]:
        return tuple(self.rows)


_ALL = (
    # The five benchmarks of the paper's Table 1.
    Dataset(
        "aime24",
        {TEST: exactly(30)},
        hub_id="HuggingFaceH4/aime_2024",
        revision="2fe88a2f1091d5048c0f36abc874fb997b3dd99a",
        hub_splits={TEST: "train"},
        aliases=("aime_2024", "aime2024"),
        folder="aime",
    ),
    Dataset(
        "amc",
        {TEST: exactly(83)},
        hub_id="AI-MO/aimo-validation-amc",
        revision="69d78a4a2c840e82d69af6bc742bda09005f6316",
        hub_splits={TEST: "train"},
        aliases=("amc12", "aimo-validation-amc"),
    ),
    Dataset(
        "math500",
        {TEST: exactly(500)},
        hub_id="HuggingFaceH4/MATH-500",
        revision="6e4ed1a2a79af7d8630a6b768ec859cb5af4d3be",
        aliases=("math_500", "math-500"),
        folder="math",
    ),
    Dataset(
        "minerva",
        {TEST: exactly(272)},
        hub_id="math-ai/minervamath",
        aliases=("minerva_math", "minervamath"),
    ),
    Dataset(
        "olympiad_bench",
        {TEST: exactly(675)},
        hub_id="knoveleng/OlympiadBench",
        hub_splits={TEST: "train"},
        aliases=("olympiadbench", "olympiad"),
    ),
    # The paper trains on levels 3 to 5 of MATH: 8,523 rows in Dr.GRPO's file; 8,890 by filtering MATH without MATH500.
    Dataset(
        "math_lvl3to5",
        {TRAIN: range(8_400, 8_951)},
        hub_id="DigitalLearningGmbH/MATH-lighteval",
        revision="0530c78699ea5e8eb5530600900e1f328b48acad",
        hub_splits={TRAIN: "train+test"},
        aliases=("math_train",),
        folder="math_lvl3to5_8k",
        levels=range(3, 6),
    ),
    Dataset(
        "gsm8k",
        {TRAIN: exactly(7_473), TEST: exactly(1_319)},
        hub_id="openai/gsm8k",
        revision="740312add88f781978c0658806c59bc2815b9866",
        hub_config="main",
        answer_form="gsm8k",
        plain_numbers=True,
    ),
    # The quickstart's sums, made here (seed_grpo.data.arithmetic).
    Dataset("arithmetic", {split: exactly(SPLITS[split]) for split in (TRAIN, TEST)}, plain_numbers=True),
)
DATASETS = {dataset.name: dataset for dataset in _ALL}
BENCHMARKS = ("aime24", "amc", "math500", "minerva", "olympiad_bench")
"""In the order of the columns of the paper's Table 2."""


def get_dataset(name: str) -> Dataset:
    """The data set of that name.

    Raises:
        UsageError: there is none.
    """
    if name in DATASETS:
        return DATASETS[name]
    for dataset in DATASETS.values():
        if name.lower() in dataset.aliases:
            return dataset
    raise UsageError(f"Unknown data set {name!r}.", f"choose among {', '.join(DATASETS)}.")


def names_in(given: Iterable[str]) -> list[str]:
    """The names in what a person gave: several with commas, and `benchmarks` for all of them."""
    names = [name.strip() for item in given for name in item.split(",") if name.strip()]
    return [name for each in names for name in (BENCHMARKS if each == "benchmarks" else [each])]
