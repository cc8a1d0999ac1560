"""`seed-grpo eval`: a model on benchmarks."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from seed_grpo.data.registry import BENCHMARKS
from seed_grpo.engines.threads import let_threads_sleep
from seed_grpo.errors import UsageError
from seed_grpo.evaluation.backends import BACKENDS, BackendOptions, Source
from seed_grpo.evaluation.backends.dialects import AUTO, DIALECTS
from seed_grpo.meaning.answers import TEMPLATES as ANSWER_TEMPLATES
from seed_grpo.terminal import make_console, say

if TYPE_CHECKING:
    from seed_grpo.evaluation.run import Watch

Model = Annotated[str, typer.Option(help="Model folder, owner/name on the hub, or the name that a server serves.")]
Data = Annotated[Path, typer.Option(help="Folder that `seed-grpo data prepare` wrote.")]
Out = Annotated[Path, typer.Option(help="Folder for results.json, responses.jsonl and problems.jsonl.")]
Benchmarks = Annotated[str, typer.Option(help="Benchmarks, with commas.")]
BackendName = Annotated[
    str,
    typer.Option(
        "--backend", help=f"{', '.join(BACKENDS)}: transformers, vLLM's offline engine, or a server at --base-url."
    ),
]
K = Annotated[int, typer.Option("--k", help="Samples per problem; 1: only the greedy response.")]
Limit = Annotated[int | None, typer.Option(help="Only the first N problems of each benchmark.")]
MaxTokens = Annotated[int, typer.Option(help="Tokens per response at most.")]
Seed = Annotated[list[int] | None, typer.Option(help="Seed of the samples; repeat for several.", show_default="0")]
Temperature = Annotated[
    float | None, typer.Option(help="Of the samples; the greedy response has none.", show_default="1")
]
TopP = Annotated[float, typer.Option(help="Nucleus of the samples.")]
TopK = Annotated[int, typer.Option(help="Tokens that are sampled from; -1: all.")]
Template = Annotated[
    str | None,
    typer.Option(
        help="qwen_math, r1, none, or model (the model's own chat template).", show_default="as in training on the data"
    ),
]
AnswerTemplate = Annotated[
    str | None,
    typer.Option(help=f"Where a response holds its answer: {', '.join(ANSWER_TEMPLATES)}.", show_default="the data's"),
]
AlsoGrade = Annotated[
    str | None, typer.Option(help="Grade with another grader too, and list every disagreement: math-verify.")
]
ClusterLevel = Annotated[str, typer.Option(help="When answers are the same: exact, normalized or symbolic.")]
Tokenizer = Annotated[
    str | None,
    typer.Option(
        help="The model's tokenizer, if --model is not a folder; none: send text (openai).", show_default="model"
    ),
]
ChatTemplateKwargs = Annotated[
    str | None, typer.Option(help="Variables of the model's chat template, as a JSON object.", show_default=False)
]
Revision = Annotated[str | None, typer.Option(help="Commit of the model on the hub.")]
Dtype = Annotated[str, typer.Option(help="Precision of the weights (hf, vllm).")]
Device = Annotated[str, typer.Option(help="cpu, cuda, or auto (hf).")]
BatchSize = Annotated[int | None, typer.Option(help="Responses at once (hf: 64, vllm: 512).", min=1)]
TensorParallel = Annotated[int, typer.Option(help="GPUs that share the model (vllm).")]
MaxModelLen = Annotated[int | None, typer.Option(help="Longest prompt and response together (vllm).")]
BaseUrl = Annotated[str | None, typer.Option(help="The server, with /v1 (openai).")]
ApiKeyEnv = Annotated[str, typer.Option(help="Variable that holds the server's API key (openai).")]
Dialect = Annotated[
    str, typer.Option(help=f"Parameters that the server knows: {', '.join([AUTO, *DIALECTS])} (openai).")
]
Concurrency = Annotated[int, typer.Option(help="Requests under way at once (openai).")]
Timeout = Annotated[float, typer.Option(help="Seconds for one request (openai).")]
Retries = Annotated[int, typer.Option(help="Further attempts at a failed request (openai).")]
Verbose = Annotated[bool, typer.Option("--verbose", "-v", help="Show the first prompt of each benchmark.")]


def evaluate(
    model: Model,
    data: Data,
    out: Out,
    benchmarks: Benchmarks = ",".join(BENCHMARKS),
    backend: BackendName = "hf",
    k: K = 1,
    limit: Limit = None,
    max_tokens: MaxTokens = 3000,
    seed: Seed = None,
    temperature: Temperature = None,
    top_p: TopP = 1.0,
    top_k: TopK = -1,
    template: Template = None,
    answer_template: AnswerTemplate = None,
    cluster_level: ClusterLevel = "symbolic",
    also_grade: AlsoGrade = None,
    tokenizer: Tokenizer = None,
    chat_template_kwargs: ChatTemplateKwargs = None,
    revision: Revision = None,
    dtype: Dtype = "auto",
    device: Device = "auto",
    batch_size: BatchSize = None,
    tensor_parallel: TensorParallel = 1,
    max_model_len: MaxModelLen = None,
    base_url: BaseUrl = None,
    api_key_env: ApiKeyEnv = "OPENAI_API_KEY",
    dialect: Dialect = AUTO,
    concurrency: Concurrency = 32,
    timeout: Timeout = 600.0,
    retries: Retries = 5,
    verbose: Verbose = False,
) -> None:
    """Evaluate a model: greedy pass@1 as in the paper, and from k samples avg@k, pass@k, maj@k and semantic entropy.

    Responses are written as they arrive; started again, only what is missing is done. A finished evaluation can be
    extended with a larger --k, more seeds or more benchmarks.

    Example: seed-grpo eval --model Qwen/Qwen2.5-Math-7B --data prepared --backend vllm --out results/base

    Example: seed-grpo eval --model model --data prepared --benchmarks aime24,amc --k 16 --limit 20 --out results/quick

    Example: seed-grpo eval --model NAME --backend openai --base-url http://localhost:8000/v1 --data data --out out
    """
    let_threads_sleep()
    given = dict(locals())  # each option is a field of the object that it belongs to
    given["chat_template_kwargs"] = _json_object(chat_template_kwargs)
    _evaluate(given, Source(_pick(BackendOptions, given)), out, verbose)


def _evaluate(given: Mapping[str, Any], source: Source, out: Path, verbose: bool) -> None:

    from seed_grpo.evaluation.problems import DataOptions, load_benchmarks
    from seed_grpo.evaluation.run import run_evaluation
    from seed_grpo.evaluation.settings import Settings
    from seed_grpo.evaluation.table import results_table
    from seed_grpo.evaluation.task import Task

    benchmarks = load_benchmarks(_pick(DataOptions, given))
    seeds = tuple(dict.fromkeys(given["seed"] or [0]))
    extra = {"limit": given["limit"]}
    settings = _pick(Settings, {**given, "identity": source.identity(), "seeds": seeds, "extra": extra})
    with _watching(verbose) as watch:
        results = run_evaluation(Task(settings, benchmarks), source, out, watch)
    for warning in results["warnings"]:
        say(f"warning: {warning}", make_console(stderr=True), style="yellow")
    make_console().print(results_table(results))
    say(f"{out / 'results.json'}; a page with curves: seed-grpo report {out}")


def _pick(kind: type, given: Mapping[str, Any]) -> Any:
    """An object of a dataclass from the options of the same names."""
    return kind(**{name: given[name] for name in kind.__dataclass_fields__ if name in given})  # type: ignore[attr-defined]


def _json_object(text: str | None) -> dict[str, Any]:
    import json

    try:
        content = json.loads(text or "{}")
    except (ValueError, RecursionError):
        content = None
    if not isinstance(content, dict):
        raise UsageError(
            f"--chat-template-kwargs is {text!r}, which is not a JSON object.",
            """give for example '{"enable_thinking": false}'.""",
        )
    return content


@contextmanager
def _watching(verbose: bool) -> Iterator[Watch]:
    """A progress bar on standard error, and the first prompts if they are asked for."""
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    from seed_grpo.evaluation.run import Watch

    columns = (TextColumn("{task.description}", markup=False), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(),
               TimeRemainingColumn())  # fmt: skip
    console = make_console(stderr=True)
    with Progress(*columns, console=console) as bar:
        row = bar.add_task("", total=None)

        def progress(have: int, wanted: int, what: str) -> None:
            bar.update(row, completed=have, total=wanted, description=what)

        def prompts(first: Mapping[str, Any]) -> None:
            for name, prompt in first.items() if verbose else ():
                tokens = "tokens unknown" if prompt["token_ids"] is None else f"{len(prompt['token_ids'])} tokens"
                say(f"first prompt of {name}, {tokens}:", console)
                say(prompt["text"], console)

        yield Watch(progress, prompts)
