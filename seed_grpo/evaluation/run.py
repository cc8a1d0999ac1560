"""One evaluation, from the first prompt to `results.json`; started again, it does only what is missing."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from seed_grpo.errors import SeedGrpoError
from seed_grpo.evaluation.backends import Backend, Completion, Request, Source
from seed_grpo.evaluation.prompts import PromptWriter
from seed_grpo.evaluation.responses import Key, ResponseFile
from seed_grpo.evaluation.second_opinion import also_grade
from seed_grpo.evaluation.state import State, only_one
from seed_grpo.evaluation.summarize import summarize
from seed_grpo.evaluation.task import Batch, Task
from seed_grpo.meaning.graders import SecondOpinion
from seed_grpo.runs.files import replace_file, writable_folder
from seed_grpo.runs.names import PROBLEMS, RESPONSES, RESULTS
from seed_grpo.runs.summary import versions


@dataclass(frozen=True)
class Watch:
    """What is told while an evaluation runs.

    Attributes:
        progress: called with (responses there are, responses wanted, what is going on).
        prompts: called with the first prompt of each benchmark, before anything is decoded.
    """

    progress: Callable[[int, int, str], None] = lambda have, wanted, what: None
    prompts: Callable[[Mapping[str, Any]], None] = lambda prompts: None


def run_evaluation(task: Task, source: Source, out: str | Path, watch: Watch = Watch()) -> dict[str, Any]:
    """Evaluate, and return what `results.json` holds.

    Args:
        task: what is asked for.
        source: where responses come from; loaded when one is missing, and only then.
        out: the folder. An interrupted evaluation in it is continued; a finished one may be extended (more samples,
            seeds, problems or benchmarks).
        watch: who is told.

    Raises:
        SeedGrpoError, UsageError: the folder holds another evaluation, or the backend fails.
    """
    start = time.monotonic()
    folder = writable_folder(out)
    asked = task.settings.also_grade
    other = SecondOpinion(asked) if asked is not None else None  # before anything is sampled: it may not be installed
    with only_one(folder):
        run = _Run(task, ResponseFile(folder / RESPONSES), State(folder, task), watch)
        before = run.state.seconds
        try:
            _respond(run, source)
        finally:
            run.responses.close()
            run.keep_time(before, start)
        watch.progress(len(run.keys), len(run.keys), "grading")
        summary = summarize(task, run.responses.have)
        run.responses.rewrite(run.keys, summary.grades)
        run.keep_time(before, start)
        results = {
            **summary.numbers,
            "settings": {**task.described(), "first_prompt": run.state.first_prompts},
            "backend": run.state.backend,
            "wall_seconds": run.state.seconds,
        }
        if other is not None:
            watch.progress(len(run.keys), len(run.keys), f"grading with {other.grader.name}")
            results["also_graded"] = also_grade(other, task, run.responses.have, summary.grades)
            other.close()
        replace_file(folder / PROBLEMS, "".join(json.dumps(record) + "\n" for record in summary.problems))
        replace_file(folder / RESULTS, json.dumps(results, indent=2) + "\n")
    return results


def response_seed(key: Key) -> int:
    """The seed of a response: a function of what it is, so that order, batch and interruption do not matter."""
    digest = hashlib.sha256("\0".join(map(str, key)).encode("utf-8", "surrogatepass")).digest()
    return int.from_bytes(digest[:4], "big") >> 1  # 31 bits: every server takes that


class _Run:
    """An evaluation at work: what is wanted, what is there, and who is told."""

    def __init__(self, task: Task, responses: ResponseFile, state: State, watch: Watch) -> None:
        self.task, self.responses, self.state, self.watch = task, responses, state, watch
        self.keys = task.keys()
        self.left = len(self.missing(self.keys))
        self._made = 0

    def missing(self, keys: Sequence[Key]) -> list[Key]:
        return [key for key in keys if key not in self.responses.have]

    def append(self, key: Key, completion: Completion) -> None:
        """Keep a response, unless it is there already."""
        if key not in self.responses.have:
            self.responses.append(key, completion)
            self._made += 1
            self.left -= 1

    def tell(self, what: str) -> None:
        self.watch.progress(len(self.keys) - self.left, len(self.keys), what)

    def keep_time(self, seconds_before: float, start: float) -> None:
        """Add the time of this start, if it has made a response."""
        if self._made:
            self.state.set_seconds(seconds_before + time.monotonic() - start)


def _respond(run: _Run, source: Source) -> None:
    """Get every response that is missing."""
    if not run.left:
        run.watch.prompts(run.state.first_prompts)
        return
    run.tell("loading the model")
    prompts = PromptWriter(source.load_tokenizer(), source.options.chat_template_kwargs)
    run.state.set_first_prompts({each.name: prompts.write_first(each) for each in run.task.benchmarks})
    run.watch.prompts(run.state.first_prompts)
    backend = source.load(prompts.tokenizer)
    try:
        for batch in run.task.batches(backend.batch_size):
            if run.missing(batch.keys):
                _respond_batch(run, batch, backend, prompts)
    finally:
        run.state.set_backend({"name": source.options.backend, **backend.describe(), "versions": versions()})
        backend.close()
    if run.left:
        raise SeedGrpoError(f"The backend left out {run.left} responses.", "start again: only these are made.")


def _respond_batch(run: _Run, batch: Batch, backend: Backend, prompts: PromptWriter) -> None:
    benchmark, settings = batch.benchmark, run.task.settings
    what = f"{benchmark.name}, {'greedy' if batch.greedy else f'{settings.samples} samples, seed {batch.keys[0].seed}'}"
    run.tell(what)
    # A batch that an interruption cut short is made as a whole if what shares a batch can change the last bits.
    asked = batch.keys if backend.whole_batches else run.missing(batch.keys)
    problems = {problem.id: problem for problem in benchmark.problems}
    requests = [Request(prompts.write(benchmark, problems[key.problem]), response_seed(key)) for key in asked]
    for index, completion in backend.complete(requests, settings.sampling(benchmark.form.stop, batch.greedy)):
        run.append(asked[index], completion)
        run.tell(what)
