"""A study: its arms, seeds and budget, read from a YAML file (docs/ablations.md has the format)."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import seed_grpo.configs
from seed_grpo.errors import UsageError
from seed_grpo.runs.files import replace_file

SHIPPED = Path(seed_grpo.configs.__file__).parent / "study"
RESERVED = ("seed", "trainer.default_local_dir", "trainer.experiment_name")
"""What the study sets for each run."""
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_MAX_BYTES = 1 << 20


@dataclass(frozen=True)
class Assumption:
    """How long a run takes, before one has been measured: seconds of a step, seconds beside the steps, and whence."""

    step_seconds: float
    other_seconds: float
    source: str


@dataclass(frozen=True)
class Arm:
    """One configuration under comparison.

    Attributes:
        name: of its folder.
        overrides: Hydra overrides of `seed-grpo train`, behind the study's own.
        label: for tables and figures.
        against: the arm that it is compared with, instead of the study's baseline; its own name: with none.
        paper: the label of its row in the paper's table (`seed_grpo.report.paper`), if it has one.
    """

    name: str
    overrides: tuple[str, ...]
    label: str
    against: str | None = None
    paper: str | None = None


@dataclass(frozen=True)
class Study:
    """Arms that are compared, each with the same seeds.

    Attributes:
        name: the file's.
        title: one line.
        table: the paper's table that it reproduces, such as `4b`.
        baseline: name of the arm that the others are compared with.
        arms: in the order of tables.
        seeds: each arm is run with each.
        overrides: Hydra overrides common to all arms: experiment, platform, budget.
        benchmarks: evaluated after training (`seed-grpo eval`); none where empty.
        eval_options: further options of `seed-grpo eval`, such as `--backend=vllm`.
        quickstart: make the quickstart's warm-started model and data, one a seed, for all arms.
        keep_checkpoints: leave a finished run's checkpoints where they are; by default they are removed.
        assumed: a run's time before one has been measured.
    """

    name: str
    title: str
    table: str | None
    baseline: str
    arms: tuple[Arm, ...]
    seeds: tuple[int, ...]
    overrides: tuple[str, ...]
    benchmarks: tuple[str, ...] = ()
    eval_options: tuple[str, ...] = ()
    quickstart: bool = False
    keep_checkpoints: bool = False
    assumed: Assumption | None = None

    def arm(self, name: str) -> Arm:
        """The arm of that name.

        Raises:
            UsageError: there is none.
        """
        for arm in self.arms:
            if arm.name == name:
                return arm
        names = [arm.name for arm in self.arms]
        near = get_close_matches(name, names, n=1)
        hint = f"did you mean {near[0]}?" if near else f"its arms are {', '.join(names)}."
        raise UsageError(f"The study {self.name} has no arm {name!r}.", hint)

    def against(self, name: str) -> str | None:
        """The arm that an arm is compared with; None for one that others are compared with and it with none."""
        reference = self.arm(name).against or self.baseline
        return None if reference == name else reference


def shipped_studies() -> list[str]:
    """Names of the studies that come with the package."""
    return sorted(path.stem for path in SHIPPED.glob("*.yaml"))


def find_study(name_or_file: str | Path) -> Path:
    """The file of a shipped study, or the given file.

    Raises:
        UsageError: neither exists.
    """
    path = Path(name_or_file)
    if path.suffix not in (".yaml", ".yml"):
        shipped = SHIPPED / f"{name_or_file}.yaml"
        if str(name_or_file) not in shipped_studies():
            near = get_close_matches(str(name_or_file), shipped_studies(), n=1)
            raise UsageError(
                f"There is no study {str(name_or_file)!r}.",
                (f"did you mean {near[0]}? " if near else "")
                + f"the studies are {', '.join(shipped_studies())}; or give a .yaml file.",
            )
        return shipped
    if not path.is_file():
        raise UsageError(
            f"There is no study file {path}.", f"give a .yaml file, or one of {', '.join(shipped_studies())}."
        )
    return path


def read_study(path: str | Path) -> Study:
    """Read a study's file. What can only be known by composing its configurations is checked in `compose_study`.

    Raises:
        UsageError: naming the file, the key, and the remedy.
    """
    path = Path(path)
    content = _load(path)
    _only_known(content, [field.name for field in fields(Study)], path, "")
    for key in ("title", "baseline", "arms", "seeds", "overrides"):
        if key not in content:
            raise UsageError(f"{path}: {key} is missing.", "add it; docs/ablations.md has the format.")
    study = Study(
        name=_text(content.get("name", path.stem), path, "name"),
        title=_text(content["title"], path, "title"),
        table=None if content.get("table") is None else _text(content["table"], path, "table"),
        baseline=_text(content["baseline"], path, "baseline"),
        arms=_arms(content["arms"], path),
        seeds=_seeds(content["seeds"], path),
        overrides=_overrides(content["overrides"], path, "overrides"),
        benchmarks=_texts(content.get("benchmarks", []), path, "benchmarks"),
        eval_options=_eval_options(content.get("eval_options", []), path),
        quickstart=_flag(content.get("quickstart", False), path, "quickstart"),
        keep_checkpoints=_flag(content.get("keep_checkpoints", False), path, "keep_checkpoints"),
        assumed=_assumption(content.get("assumed"), path),
    )
    names = [arm.name for arm in study.arms]
    for key, name in [("baseline", study.baseline), *((f"arms.{arm.name}.against", arm.against) for arm in study.arms)]:
        if name is not None and name not in names:
            near = get_close_matches(name, names, n=1)
            hint = f"did you mean {near[0]}?" if near else f"name one of {', '.join(names)}."
            raise UsageError(f"{path}: {key} is {name!r}, which is no arm.", hint)
    if study.quickstart:
        for override in [*study.overrides, *(override for arm in study.arms for override in arm.overrides)]:
            if override_key(override) == "quickstart_dir":
                raise UsageError(f"{path}: quickstart is true and {override} is set.", "remove one of them.")
    if study.arm(study.baseline).against not in (None, study.baseline):
        raise UsageError(f"{path}: the baseline {study.baseline} has an `against`.", "remove it.")
    return study


def write_study(study: Study, path: Path) -> None:
    """Write the resolved study; `read_study` reads it back."""
    import yaml

    content: dict[str, Any] = {field.name: _plain(getattr(study, field.name)) for field in fields(Study)}
    replace_file(path, yaml.safe_dump(content, sort_keys=False, allow_unicode=True, width=120))


def with_overrides(study: Study, overrides: Sequence[str]) -> Study:
    """The study with further overrides common to all arms; one of the same key replaces the study's.

    Raises:
        UsageError: an override that is reserved, or none.
    """
    added = _overrides(list(overrides), "the command line", "KEY=VALUE")
    keys = {override_key(override) for override in added}
    kept = tuple(override for override in study.overrides if override_key(override) not in keys)
    return replace(study, overrides=kept + added)


def override_key(override: str) -> str:
    """The key that a Hydra override sets.

    Raises:
        UsageError: it is no override, or a sweep.
    """
    from hydra.core.override_parser.overrides_parser import OverridesParser
    from hydra.errors import HydraException

    try:
        parsed = OverridesParser.create().parse_override(override)
    except HydraException as error:
        raise UsageError(f"{override!r} is no override.", "write KEY=VALUE, as for `seed-grpo train`.") from error
    if parsed.is_sweep_override():
        raise UsageError(f"{override!r} holds several values.", "write one arm for each; a list is [a,b].")
    return str(parsed.key_or_group)


def _load(path: Path) -> dict[str, Any]:
    import yaml
    from omegaconf import OmegaConf
    from omegaconf.errors import OmegaConfBaseException

    try:
        if path.stat().st_size > _MAX_BYTES:
            raise UsageError(f"{path} is larger than {_MAX_BYTES} bytes: no study.", "give a study file.")
        # OmegaConf refuses a key that stands there twice.
        content = OmegaConf.to_container(OmegaConf.create(path.read_text(encoding="utf-8")), resolve=False)
    except (OSError, UnicodeDecodeError, RecursionError) as error:
        raise UsageError(f"{path} cannot be read: {error}.", "give a YAML file.") from error
    except (yaml.YAMLError, OmegaConfBaseException) as error:
        raise UsageError(f"{path} is no study: {' '.join(str(error).split())}.", "correct the YAML.") from error
    if not isinstance(content, dict) or not content:
        raise UsageError(f"{path} is no study: no mapping.", "docs/ablations.md has the format.")
    return {str(key): value for key, value in content.items()}


def _only_known(content: Mapping[str, Any], known: Sequence[str], path: Path, where: str) -> None:
    for key in content:
        if key not in known:
            near = get_close_matches(str(key), known, n=1)
            hint = f"did you mean {near[0]}?" if near else f"the keys are {', '.join(known)}."
            raise UsageError(f"{path}: unknown key {where}{key}.", hint)


def _arms(content: Any, path: Path) -> tuple[Arm, ...]:
    if not isinstance(content, list) or not content:
        raise UsageError(f"{path}: arms is no list of arms.", "write `- name: …` and `overrides: […]` for each.")
    arms: dict[str, Arm] = {}
    for number, node in enumerate(content, start=1):
        if not isinstance(node, dict):
            raise UsageError(f"{path}: arm {number} is no mapping.", "write `- name: …` and `overrides: […]`.")
        _only_known(node, [field.name for field in fields(Arm)], path, f"arms.{node.get('name', number)}.")
        name = _text(node.get("name"), path, f"name of arm {number}")
        if not _NAME.fullmatch(name):
            raise UsageError(f"{path}: the arm's name {name!r} is no folder name.", "use letters, digits and ._-")
        if name in arms:
            raise UsageError(f"{path}: the arm {name} stands there twice.", "give each arm a name of its own.")
        key = f"arms.{name}"
        arms[name] = Arm(
            name=name,
            overrides=_overrides(node.get("overrides", []), path, f"{key}.overrides"),
            label=_text(node.get("label", name), path, f"{key}.label"),
            against=None if node.get("against") is None else _text(node["against"], path, f"{key}.against"),
            paper=None if node.get("paper") is None else _text(node["paper"], path, f"{key}.paper"),
        )
    return tuple(arms.values())


def _seeds(content: Any, path: Path) -> tuple[int, ...]:
    if not isinstance(content, list) or not content:
        raise UsageError(f"{path}: seeds is no list of seeds.", "write `seeds: [1, 2, 3]`.")
    for seed in content:
        if not isinstance(seed, int) or isinstance(seed, bool) or not 0 <= seed < 2**31:
            raise UsageError(f"{path}: seeds holds {seed!r}.", "a seed is a whole number from 0 to 2147483647.")
    if len(set(content)) < len(content):
        raise UsageError(f"{path}: a seed stands there twice.", "name each seed once.")
    return tuple(content)


def _overrides(content: Any, path: Path | str, key: str) -> tuple[str, ...]:
    overrides = _texts(content, path, key)
    seen = set()
    for override in overrides:
        try:
            name = override_key(override)
        except UsageError as error:
            raise UsageError(f"{path}: {key}: {error.cause}", error.remedy) from error
        if name in RESERVED or name == "hydra" or name.startswith(("hydra.", "hydra/")):
            remedy = "list seeds under `seeds`." if name == "seed" else "remove it; --out names the study's folder."
            raise UsageError(f"{path}: {key} sets {name}, which the study sets for each run.", remedy)
        if name in seen:
            raise UsageError(f"{path}: {key} sets {name} twice.", "keep one of them.")
        seen.add(name)
    return overrides


def _eval_options(content: Any, path: Path) -> tuple[str, ...]:
    options = _texts(content, path, "eval_options")
    for option in options:
        name = option.split("=", 1)[0]
        if not re.fullmatch(r"--[a-z][a-z-]*=.+", option):
            raise UsageError(f"{path}: eval_options holds {option!r}.", "write --NAME=VALUE, as --backend=vllm.")
        if name in ("--model", "--data", "--out", "--benchmarks"):
            raise UsageError(f"{path}: eval_options sets {name}, which the study sets.", "remove it.")
    return options


def _assumption(content: Any, path: Path) -> Assumption | None:
    if content is None:
        return None
    if not isinstance(content, dict):
        raise UsageError(f"{path}: assumed is no mapping.", "write step_seconds, other_seconds and source.")
    known = [field.name for field in fields(Assumption)]
    _only_known(content, known, path, "assumed.")
    for key in known:
        if key not in content:
            raise UsageError(f"{path}: assumed.{key} is missing.", "add it.")
    for key in ("step_seconds", "other_seconds"):
        number = content[key]
        if isinstance(number, bool) or not isinstance(number, (int, float)) or not 0 <= number < 1e9:
            raise UsageError(f"{path}: assumed.{key} is {number!r}.", "give seconds.")
    return Assumption(
        float(content["step_seconds"]),
        float(content["other_seconds"]),
        _text(content["source"], path, "assumed.source"),
    )


def _text(value: Any, path: Path, key: str) -> str:
    # A table is called 4b, and nobody writes quotes around a name that looks like a number.
    if isinstance(value, bool) or not isinstance(value, (str, int, float)) or not str(value).strip():
        raise UsageError(f"{path}: {key} is {value!r}.", "give a text.")
    return str(value)


def _texts(content: Any, path: Path | str, key: str) -> tuple[str, ...]:
    if not isinstance(content, list) or not all(isinstance(item, str) and item.strip() for item in content):
        raise UsageError(f"{path}: {key} is no list of texts.", f"write `{key.rsplit('.', 1)[-1]}: [a, b]`.")
    return tuple(content)


def _flag(value: Any, path: Path, key: str) -> bool:
    if not isinstance(value, bool):
        raise UsageError(f"{path}: {key} is {value!r}.", "give true or false.")
    return value


def _plain(value: Any) -> Any:
    if isinstance(value, tuple):
        return [_plain(item) for item in value]
    if isinstance(value, (Arm, Assumption)):
        return {field.name: _plain(getattr(value, field.name)) for field in fields(value)}
    return value
