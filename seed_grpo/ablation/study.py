"""A study: its arms, seeds and budget, read from a YAML file (docs/ablations.md has the format)."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from difflib import get_close_matches
from pathlib import Path
from reprlib import repr as brief
from typing import Any, TypeVar

import seed_grpo.configs
from seed_grpo.errors import UsageError
from seed_grpo.quickstart.tasks import get_task
from seed_grpo.runs.files import replace_file

SHIPPED = Path(seed_grpo.configs.__file__).parent / "study"
FORMAT = "docs/ablations.md has the format."
RESERVED = ("seed", "trainer.default_local_dir", "trainer.experiment_name")
"""What the study sets for each run."""
DIRECTIONS = ("higher", "lower")
WANTED = {
    "str": "a text",
    "str | None": "a text, or leave it out",
    "bool": "true or false",
    "float": "a number",
    "tuple[int, ...]": "a list of whole numbers, such as [1, 2, 3]",
    "tuple[str, ...]": "a list of texts",
    "tuple[Arm, ...]": "a list of arms, each with `name` and `overrides`",
    "tuple[Hypothesis, ...]": "a list of hypotheses, each with `name`, `statement`, `arm` and `direction`",
    "Assumption | None": "step_seconds, other_seconds and source",
}
"""In words, what a key of each type holds."""
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_MAX_BYTES = 1 << 20


@dataclass
class Assumption:
    """How long a run takes, before one has been measured.

    Attributes:
        step_seconds: of a step.
        other_seconds: of everything else.
        source: where these numbers come from.
    """

    step_seconds: float
    other_seconds: float
    source: str


@dataclass
class Arm:
    """One configuration under comparison.

    Attributes:
        name: of its folder.
        overrides: Hydra overrides of `seed-grpo train`, after the study's own.
        label: for tables and figures.
        against: the arm that it is compared with instead of the study's baseline; its own name means none.
        paper: the label of its row in the paper's table (`seed_grpo.report.paper`), if it has one.
        seeds: those of the study's seeds that it is run with; none named means all.
    """

    name: str
    overrides: tuple[str, ...] = ()
    label: str = ""
    against: str | None = None
    paper: str | None = None
    seeds: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        self.overrides = tuple(self.overrides)
        self.seeds = tuple(self.seeds)
        self.label = self.label or self.name


@dataclass
class Hypothesis:
    """What is expected of an arm, written down before the first run.

    Attributes:
        name: such as `H1`.
        statement: one sentence.
        arm: the arm that it is about.
        direction: `higher` or `lower` than the arm that it is compared with.
        against: that arm; by default the one that the arm is compared with anyway.
        measure: `accuracy` (after the last step), or one of a validation with several samples, such as `pass@8`.
        at_least: the smallest difference that would matter, in the measure's unit (0.01 is one point of accuracy).
    """

    name: str
    statement: str
    arm: str
    direction: str
    against: str | None = None
    measure: str = "accuracy"
    at_least: float = 0.0


@dataclass
class Study:
    """Arms that are compared, each with the same seeds or with some of them.

    Attributes:
        name: the file's.
        title: one line.
        table: the paper's table that it reproduces, such as `4b`.
        baseline: name of the arm that the others are compared with.
        arms: in the order of tables.
        seeds: each arm is run with each, unless it names some of them.
        overrides: Hydra overrides common to all arms: experiment, platform, budget.
        benchmarks: evaluated after training (`seed-grpo eval`); may be empty.
        eval_options: further options of `seed-grpo eval`, such as `--backend=vllm`.
        quickstart: make the quickstart's warm-started model and data, one per seed, for all arms.
        task: what that model is taught (`seed_grpo.quickstart.tasks`).
        keep_checkpoints: leave a finished run's checkpoints where they are; by default they are removed.
        assumed: a run's time before one has been measured.
        hypotheses: what is expected; with them, the study cannot change after its first run.
        seeds_because: how the number of seeds was chosen, such as a power calculation.
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
    task: str = "sums"
    keep_checkpoints: bool = False
    assumed: Assumption | None = None
    hypotheses: tuple[Hypothesis, ...] = ()
    seeds_because: str | None = None

    def __post_init__(self) -> None:
        # OmegaConf hands over lists.
        for name in ("arms", "seeds", "overrides", "benchmarks", "eval_options", "hypotheses"):
            setattr(self, name, tuple(getattr(self, name)))

    def arm(self, name: str) -> Arm:
        """The arm of that name.

        Raises:
            UsageError: there is none.
        """
        for arm in self.arms:
            if arm.name == name:
                return arm
        names = [arm.name for arm in self.arms]
        raise UsageError(f"The study {self.name} has no arm {name!r}.", _hint(name, names, "its arms are"))

    def seeds_of(self, arm: Arm) -> tuple[int, ...]:
        """The seeds that an arm is run with, in the study's order."""
        return tuple(seed for seed in self.seeds if seed in arm.seeds) if arm.seeds else self.seeds

    def against(self, name: str) -> str | None:
        """The arm that an arm is compared with; None for one that is only compared against."""
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
    path = Path(name_or_file).expanduser()
    if path.suffix not in (".yaml", ".yml"):
        name, known = str(name_or_file), shipped_studies()
        if name not in known:
            raise UsageError(f"There is no study {name!r}.", _hint(name, known, "give a .yaml file, or one of"))
        return SHIPPED / f"{name}.yaml"
    if not path.is_file():
        raise UsageError(
            f"There is no study file {path}.", f"give a .yaml file, or one of {', '.join(shipped_studies())}."
        )
    return path


def read_study(path: str | Path) -> Study:
    """Read a study's file. `compose_study` checks what only the composed configurations can tell.

    Raises:
        UsageError: naming the file, the key, and the remedy.
    """
    path = Path(path)
    try:
        content = {"name": path.stem, "table": None} | _load(path)
        kinds: dict[str, Any] = {"arms": Arm, "hypotheses": Hypothesis}
        for key, kind in kinds.items():
            parts = content.get(key)
            for number, part in enumerate(parts if isinstance(parts, list) else [], start=1):
                if isinstance(part, dict):
                    _typed(kind, part, f"{key}.{part.get('name', number)}.")
        if isinstance(content.get("assumed"), dict):
            _typed(Assumption, content["assumed"], "assumed.")
        study = _typed(Study, content)
        _check(study)
    except UsageError as error:
        raise UsageError(f"{path}: {error.cause}", error.remedy) from error
    return study


def write_study(study: Study, path: Path) -> None:
    """Write the resolved study; `read_study` reads it back."""
    import yaml

    replace_file(path, yaml.safe_dump(asdict(study), sort_keys=False, allow_unicode=True, width=120))


def with_overrides(study: Study, overrides: Sequence[str]) -> Study:
    """The study with further overrides common to all arms; one of the same key replaces the study's.

    Raises:
        UsageError: an override that the study sets itself, or that is not valid.
    """
    _check_overrides(overrides, "the command line")
    keys = {override_key(override) for override in overrides}
    kept = (override for override in study.overrides if override_key(override) not in keys)
    return replace(study, overrides=(*kept, *overrides))


def override_key(override: str) -> str:
    """The key that a Hydra override sets.

    Raises:
        UsageError: it is not a valid override, or it is a sweep.
    """
    from hydra.core.override_parser.overrides_parser import OverridesParser
    from hydra.errors import HydraException

    try:
        parsed = OverridesParser.create().parse_override(override)
    except HydraException as error:
        remedy = "write KEY=VALUE, as for `seed-grpo train`."
        raise UsageError(f"{override!r} is not a valid override.", remedy) from error
    if parsed.is_sweep_override():
        raise UsageError(f"{override!r} holds several values.", "write an arm for each; a list is [a,b].")
    return str(parsed.key_or_group)


def _load(path: Path) -> dict[str, Any]:
    import yaml
    from omegaconf import OmegaConf
    from omegaconf.errors import OmegaConfBaseException

    try:
        if path.stat().st_size > _MAX_BYTES:
            raise UsageError(f"the file has more than {_MAX_BYTES} bytes.", "give a study's file.")
        # OmegaConf refuses a file that has a key twice.
        content = OmegaConf.to_container(OmegaConf.create(path.read_text(encoding="utf-8")), resolve=False)
        # YAML can spell text that has no UTF-8 form.
        json.dumps(content, ensure_ascii=False, default=str).encode()
    except (OSError, UnicodeError, RecursionError) as error:
        raise UsageError(f"the file cannot be read: {error}.", "give a YAML file.") from error
    except (yaml.YAMLError, OmegaConfBaseException) as error:
        raise UsageError(f"not a study: {' '.join(str(error).split())}.", "correct the YAML.") from error
    if not isinstance(content, dict) or not content:
        raise UsageError("not a study: the file does not map keys to values.", FORMAT)
    return {str(key): value for key, value in content.items()}


T = TypeVar("T", Study, Arm, Hypothesis, Assumption)


def _typed(kind: type[T], content: Mapping[Any, Any], where: str = "") -> T:
    """An object of a kind from a part of a file: no unknown key, none missing, each of its type.

    Args:
        kind: the dataclass, which OmegaConf takes for a schema.
        content: of that part.
        where: goes before the keys in messages.
    """
    from omegaconf import OmegaConf
    from omegaconf.errors import OmegaConfBaseException, ValidationError

    wanted = {field.name: WANTED[str(field.type)] for field in fields(kind)}
    config = OmegaConf.structured(kind)
    for key, value in content.items():
        if key not in wanted:
            raise UsageError(f"unknown key {where}{key}.", _hint(str(key), list(wanted), "the keys are"))
        try:
            config.merge_with({key: _literal(value)})
            # OmegaConf takes a list for a text where a list of texts is wanted.
            if (
                isinstance(value, list)
                and key not in ("arms", "hypotheses")
                and any(isinstance(item, list) for item in value)
            ):
                raise ValidationError
        except OmegaConfBaseException as error:
            raise UsageError(f"{where}{key} is {brief(value)}.", f"give {wanted[key]}.") from error
    if missing := sorted(OmegaConf.missing_keys(config)):
        raise UsageError(f"{where}{missing[0]} is missing.", f"add it; {FORMAT}")
    typed = OmegaConf.to_object(config)
    assert isinstance(typed, kind)
    return typed


def _literal(node: Any) -> Any:
    """A part of a file such that OmegaConf resolves nothing in it: `${…}` in an override is Hydra's to resolve."""
    if isinstance(node, dict):
        return {key: _literal(value) for key, value in node.items()}
    if isinstance(node, list):
        return [_literal(value) for value in node]
    return re.sub(r"(\\*)\$\{", r"\1\1\\${", node) if isinstance(node, str) else node


def _check(study: Study) -> None:
    """Check what types do not say.

    Raises:
        UsageError: naming the key, and the remedy.
    """
    names = [arm.name for arm in study.arms]
    listed: dict[str, list[Any]] = {"arms": names, "seeds": list(study.seeds)}
    for key, values in listed.items():
        if not values:
            raise UsageError(f"{key} is empty.", "give at least one.")
        if twice := [value for value in values if values.count(value) > 1]:
            raise UsageError(f"{key} holds {twice[0]} twice.", "name each of them once.")
    for seed in study.seeds:
        if not isinstance(seed, int) or not 0 <= seed < 2**31:
            raise UsageError(f"seeds holds {seed!r}.", "a seed is a whole number from 0 to 2147483647.")
    for arm in study.arms:
        if unknown := [seed for seed in arm.seeds if seed not in study.seeds]:
            raise UsageError(
                f"arms.{arm.name}.seeds holds {unknown[0]!r}, and the study's seeds do not.",
                "add it there, or remove it.",
            )
    get_task(study.task)
    for name in names:
        if not _NAME.fullmatch(name):
            raise UsageError(f"the arm's name {name!r} cannot name a folder.", "use letters, digits and ._-")
    references = {"baseline": study.baseline, **{f"arms.{arm.name}.against": arm.against for arm in study.arms}}
    for key, reference in references.items():
        if reference is not None and reference not in names:
            hint = _hint(reference, names, "name one of")
            raise UsageError(f"{key} is {reference!r}, and no arm has that name.", hint)
    if study.arm(study.baseline).against not in (None, study.baseline):
        raise UsageError(f"the baseline {study.baseline} has an `against`.", "remove it.")
    _check_hypotheses(study)
    _check_overrides(study.overrides, "overrides")
    for arm in study.arms:
        _check_overrides(arm.overrides, f"arms.{arm.name}.overrides")
    for override in [*study.overrides, *(override for arm in study.arms for override in arm.overrides)]:
        if study.quickstart and override_key(override) == "quickstart_dir":
            raise UsageError(f"quickstart is true and {override} is set.", "remove one of them.")
    for option in study.eval_options:
        if not re.fullmatch(r"--(?!(model|data|out|benchmarks)=)[a-z-]+=.+", str(option)):
            remedy = "write --NAME=VALUE; the study itself sets --model, --data, --out and --benchmarks."
            raise UsageError(f"eval_options holds {option!r}.", remedy)
    if study.assumed and not all(0 <= x < 1e9 for x in (study.assumed.step_seconds, study.assumed.other_seconds)):
        raise UsageError("assumed holds a time below 0, or one that is not a number.", "give seconds.")


def _check_hypotheses(study: Study) -> None:
    names = [each.name for each in study.hypotheses]
    if twice := [name for name in names if names.count(name) > 1]:
        raise UsageError(f"hypotheses holds {twice[0]} twice.", "name each of them once.")
    for each in study.hypotheses:
        where = f"hypotheses.{each.name}"
        for key, arm in (("arm", each.arm), ("against", each.against)):
            if arm is not None and arm not in [known.name for known in study.arms]:
                known = [arm.name for arm in study.arms]
                raise UsageError(
                    f"{where}.{key} is {arm!r}, and no arm has that name.", _hint(arm, known, "name one of")
                )
        if (each.against or study.against(each.arm)) in (None, each.arm):
            raise UsageError(f"{where} compares {each.arm} with nothing.", "name an arm with `against`.")
        if each.direction not in DIRECTIONS:
            raise UsageError(f"{where}.direction is {each.direction!r}.", f"choose one of {', '.join(DIRECTIONS)}.")
        if not 0 <= each.at_least < 1e9:
            raise UsageError(f"{where}.at_least is {each.at_least}.", "give a size of 0 or more.")


def _check_overrides(overrides: Sequence[str], where: str) -> None:
    seen = set()
    for override in overrides:
        try:
            name = override_key(override)
        except UsageError as error:
            raise UsageError(f"{where}: {error.cause}", error.remedy) from error
        if name in RESERVED or name == "hydra" or name.startswith(("hydra.", "hydra/")):
            remedy = "list seeds under `seeds`." if name == "seed" else "remove it; --out names the study's folder."
            raise UsageError(f"{where} sets {name}, which the study sets for each run.", remedy)
        if name in seen:
            raise UsageError(f"{where} sets {name} twice.", "keep one of them.")
        seen.add(name)


def _hint(name: str, known: Sequence[str], otherwise: str) -> str:
    near = get_close_matches(name, known, n=1)
    return f"did you mean {near[0]}?" if near else f"{otherwise} {', '.join(known)}."
