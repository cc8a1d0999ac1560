"""One evaluation, from the first prompt to `results.json`; started again, it does only what is missing."""

from __future__ import annotations

import fcntl
import hashlib
import json
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from seed_grpo.engines.sampling import Sampling
from seed_grpo.errors import SeedGrpoError, UsageError
from seed_grpo.evaluation.backends import Backend, Request
from seed_grpo.evaluation.problems import Benchmark
from seed_grpo.evaluation.responses import GREEDY, Key, ResponseFile
from seed_grpo.evaluation.summarize import summarize
from seed_grpo.meaning.settings import MeaningSettings
from seed_grpo.runs.files import replace_file
from seed_grpo.runs.names import PROBLEMS, RESPONSES, RESULTS

STATE = "evaluation.json"

Progress = Callable[[int, int, str], None]
"""Called with (responses there are, responses wanted, what is going on)."""


@dataclass(frozen=True)
class Settings:
    """What is asked for.

    Attributes:
        identity: what responses depend on beside prompt, seed and sampling: model, revision, backend, precision.
        max_tokens: tokens of a response at most.
        k: samples of each problem beside the greedy response; 1 for none, unless a temperature is given.
        temperature: of the samples; None: 1 where there are samples.
        top_p, top_k: of the samples.
        seeds: the samples are drawn once for each.
        cluster_level: when two answers are the same, for majority and entropy.
        grade_level: at which answers are compared with the gold answer.
    """

    identity: dict[str, Any]
    max_tokens: int = 3000
    k: int = 1
    temperature: float | None = None
    top_p: float = 1.0
    top_k: int = -1
    seeds: tuple[int, ...] = (0,)
    cluster_level: str = "symbolic"
    grade_level: str = "symbolic"
    extra: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name, ok in (
            ("max_tokens", self.max_tokens >= 1),
            ("k", self.k >= 1),
            ("temperature", self.temperature is None or 0 < self.temperature < float("inf")),
            ("top_p", 0 < self.top_p <= 1),
            ("top_k", self.top_k == -1 or self.top_k >= 1),
        ):
            if not ok:
                raise UsageError(f"{name} is {getattr(self, name)}.", f"see `seed-grpo eval --help` for {name}.")
        MeaningSettings(meaning=self.cluster_level, grade_level=self.grade_level)  # checks that they go together

    @property
    def samples(self) -> int:
        """Samples of each problem and seed beside the greedy response."""
        return self.k if self.k > 1 or self.temperature is not None else 0

    def sampling(self, stop: tuple[str, ...], greedy: bool) -> Sampling:
        if greedy:
            return Sampling(self.max_tokens, temperature=0.0, stop=stop)
        temperature = 1.0 if self.temperature is None else self.temperature
        return Sampling(self.max_tokens, temperature, self.top_p, self.top_k, stop)


def evaluate(
    settings: Settings,
    benchmarks: Sequence[Benchmark],
    make_backend: Callable[[], Backend],
    out: str | Path,
    progress: Progress = lambda have, wanted, what: None,
) -> dict[str, Any]:
    """Evaluate, and return what `results.json` holds.

    Args:
        settings: what is asked for.
        benchmarks: what it is asked on.
        make_backend: called when a response is missing, and only then.
        out: the folder; an interrupted evaluation in it goes on, a finished one may be extended (more samples, seeds,
            problems or benchmarks).

    Raises:
        SeedGrpoError, UsageError: the folder holds another evaluation, or the backend fails.
    """
    start = time.monotonic()
    folder = Path(out)
    if folder.exists() and not folder.is_dir():
        raise UsageError(f"{out} is a file.", "give a folder with --out.")
    folder.mkdir(parents=True, exist_ok=True)
    with _only_one(folder):
        state = _open_state(folder / STATE, settings, benchmarks)
        responses = ResponseFile(folder / RESPONSES)
        seconds_before = state["wall_seconds"]
        had = len(responses.have)

        def keep_time() -> None:
            state["wall_seconds"] = round(seconds_before + time.monotonic() - start, 3)
            _write_json(folder / STATE, state)

        try:
            _respond(settings, benchmarks, make_backend, responses, state, progress)
        finally:
            responses.close()
            if len(responses.have) > had:
                keep_time()
        wanted = sum(len(keys) for _, keys, _ in _batches(settings, benchmarks, 1))
        progress(wanted, wanted, "grading")
        summary = summarize(settings, benchmarks, responses.have)
        responses.rewrite([key for _, keys, _ in _batches(settings, benchmarks, 1) for key in keys], summary.grades)
        if len(responses.have) > had or not seconds_before:
            keep_time()
        results = {
            **summary.numbers,
            "settings": _describe(settings, benchmarks),
            "backend": state["backend"],
            "wall_seconds": state["wall_seconds"],
        }
        _write_lines(folder / PROBLEMS, summary.problems)
        _write_json(folder / RESULTS, results)
    return results


def response_seed(key: Key) -> int:
    """The seed of a response: a function of what it is, so that order, batch and interruption do not matter."""
    digest = hashlib.sha256("\0".join(map(str, key)).encode("utf-8", "surrogatepass")).digest()
    return int.from_bytes(digest[:4], "big") >> 1  # 31 bits: every server takes that


def _batches(
    settings: Settings, benchmarks: Sequence[Benchmark], size: int
) -> Iterator[tuple[Benchmark, list[Key], bool]]:
    """All responses in order, in batches of one benchmark and one way of sampling: (benchmark, keys, greedy)."""
    for benchmark in benchmarks:
        passes = [[Key(benchmark.name, problem.id, 0, GREEDY) for problem in benchmark.problems]]
        for seed in settings.seeds if settings.samples else ():
            passes.append(
                [
                    Key(benchmark.name, problem.id, seed, sample)
                    for problem in benchmark.problems
                    for sample in range(settings.samples)
                ]
            )
        for number, keys in enumerate(passes):
            for at in range(0, len(keys), size):
                yield benchmark, keys[at : at + size], number == 0


def _respond(
    settings: Settings,
    benchmarks: Sequence[Benchmark],
    make_backend: Callable[[], Backend],
    responses: ResponseFile,
    state: dict[str, Any],
    progress: Progress,
) -> None:
    """Get every response that is missing."""
    every = {key for _, keys, _ in _batches(settings, benchmarks, 1) for key in keys}
    missing = len(every - set(responses.have))
    if not missing:
        return
    progress(len(every) - missing, len(every), "loading the model")
    backend = make_backend()
    try:
        state["backend"] = {"name": settings.identity.get("backend"), **backend.describe(), "versions": _versions()}
        for benchmark, keys, greedy in _batches(settings, benchmarks, backend.batch_size):
            wanted = [key for key in keys if key not in responses.have]
            if not wanted:
                continue
            asked = keys if backend.whole_batches else wanted
            prompts = {problem.id: problem.prompt for problem in benchmark.problems}
            what = f"{benchmark.name}, {'greedy' if greedy else f'{settings.samples} samples, seed {keys[0].seed}'}"
            progress(len(every) - missing, len(every), what)
            requests = [Request(prompts[key.problem], response_seed(key)) for key in asked]
            for index, completion in backend.complete(requests, settings.sampling(benchmark.template.stop, greedy)):
                if asked[index] not in responses.have:
                    responses.append(asked[index], completion)
                    missing -= 1
                    progress(len(every) - missing, len(every), what)
    finally:
        backend.close()
    if missing:
        raise SeedGrpoError(f"The backend left {missing} responses out.", "start again: only these are made.")


def _open_state(path: Path, settings: Settings, benchmarks: Sequence[Benchmark]) -> dict[str, Any]:
    """What the folder knows of its evaluation, checked against what is asked for."""
    asked = {
        **settings.identity,
        "max_tokens": settings.max_tokens,
        "temperature": settings.sampling((), greedy=False).temperature if settings.samples else None,
        "top_p": settings.top_p,
        "top_k": settings.top_k,
    }
    data = {benchmark.name: [benchmark.origin["sha256"], benchmark.template.name] for benchmark in benchmarks}
    state: dict[str, Any] = {"identity": asked, "data": data, "backend": None, "wall_seconds": 0.0}
    if not path.is_file():
        if (path.parent / RESPONSES).is_file():
            raise UsageError(f"{path.parent} holds responses of unknown origin.", "choose another --out.")
        _write_json(path, state)
        return state
    try:
        earlier = json.loads(path.read_text(encoding="utf-8"))
        before, data_before = earlier["identity"], earlier["data"]
    except (ValueError, KeyError, TypeError) as error:
        raise SeedGrpoError(f"{path} is not what an evaluation left there.", "choose another --out.") from error
    if before.get("temperature") is None or asked["temperature"] is None:
        # Nothing has been sampled yet, or nothing is to be: the samples' settings are still open.
        open_settings = ("temperature", "top_p", "top_k")
        asked = {**asked, **{name: before[name] for name in open_settings if asked["temperature"] is None}}
        before = {**before, **{name: asked[name] for name in open_settings}}
    for name in {**before, **asked}:
        if before.get(name) != asked.get(name):
            raise UsageError(
                f"{path.parent} holds another evaluation: {name} was {before.get(name)} and is {asked.get(name)}.",
                "choose another --out, or remove the folder.",
            )
    for name in data.keys() & data_before.keys():
        if data[name] != data_before[name]:
            raise UsageError(
                f"{path.parent} holds responses to other prompts of {name}: data or template have changed.",
                "choose another --out, or remove the folder.",
            )
    state = {**earlier, "identity": asked, "data": {**data_before, **data}}
    _write_json(path, state)
    return state


def _describe(settings: Settings, benchmarks: Sequence[Benchmark]) -> dict[str, Any]:
    return {
        **settings.identity,
        **settings.extra,
        "max_tokens": settings.max_tokens,
        "k": settings.k,
        "samples": settings.samples,
        "temperature": settings.sampling((), greedy=False).temperature if settings.samples else None,
        "top_p": settings.top_p,
        "top_k": settings.top_k,
        "seeds": list(settings.seeds),
        "template": {benchmark.name: benchmark.template.name for benchmark in benchmarks},
        "cluster_level": settings.cluster_level,
        "grade_level": settings.grade_level,
        "truncated_rule": "an answer in a response that was cut off counts, as in the paper's evaluation",
        "data": {benchmark.name: benchmark.origin for benchmark in benchmarks},
    }


def _versions() -> dict[str, str]:
    from importlib.metadata import PackageNotFoundError, version

    found = {}
    for package in ("seed-grpo", "torch", "transformers", "vllm", "httpx"):
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


@contextmanager
def _only_one(folder: Path) -> Iterator[None]:
    """Keep a second evaluation out of the folder; the lock goes with the process."""
    with open(folder / ".lock", "w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise SeedGrpoError(
                f"Another evaluation is writing to {folder}.", "wait for it, or choose another --out."
            ) from None
        yield


def _write_json(path: Path, content: dict[str, Any]) -> None:
    replace_file(path, json.dumps(content, indent=2) + "\n")


def _write_lines(path: Path, records: Sequence[dict[str, Any]]) -> None:
    replace_file(path, "".join(json.dumps(record) + "\n" for record in records))
