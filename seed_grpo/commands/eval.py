"""`seed-grpo eval`: a model on benchmarks."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from seed_grpo.errors import UsageError

if TYPE_CHECKING:
    from rich.table import Table

    from seed_grpo.evaluation.backends import Backend

BACKENDS = ("hf", "vllm", "openai")


def evaluate(
    model: Annotated[str, typer.Option(help="Model folder, owner/name on the hub, or the name that a server serves.")],
    data: Annotated[Path, typer.Option(help="Folder that `seed-grpo data prepare` wrote.")],
    out: Annotated[Path, typer.Option(help="Folder for results.json, responses.jsonl and problems.jsonl.")],
    benchmarks: Annotated[
        str, typer.Option(help="Benchmarks, with commas.")
    ] = "aime24,amc,math500,minerva,olympiad_bench",
    backend: Annotated[
        str, typer.Option(help="hf (transformers), vllm (its offline engine) or openai (a server).")
    ] = "hf",
    k: Annotated[int, typer.Option("--k", help="Samples of each problem; 1: only the greedy response.")] = 1,
    limit: Annotated[int | None, typer.Option(help="Only the first N problems of each benchmark.")] = None,
    max_tokens: Annotated[int, typer.Option(help="Tokens of a response at most.")] = 3000,
    seed: Annotated[
        list[int] | None, typer.Option(help="Seed of the samples; again for several.  [default: 0]")
    ] = None,
    temperature: Annotated[
        float | None, typer.Option(help="Of the samples; the greedy response has none.  [default: 1]")
    ] = None,
    top_p: Annotated[float, typer.Option(help="Nucleus of the samples.")] = 1.0,
    top_k: Annotated[int, typer.Option(help="Tokens that are sampled from; -1: all.")] = -1,
    template: Annotated[str | None, typer.Option(help="qwen_math, r1 or none.  [default: the data's]")] = None,
    cluster_level: Annotated[
        str, typer.Option(help="When answers are the same: exact, normalized or symbolic.")
    ] = "symbolic",
    revision: Annotated[str | None, typer.Option(help="Commit of the model on the hub.")] = None,
    dtype: Annotated[str, typer.Option(help="Precision of the weights (hf, vllm).")] = "auto",
    device: Annotated[str, typer.Option(help="cpu, cuda, or auto (hf).")] = "auto",
    batch_size: Annotated[int | None, typer.Option(help="Responses at once (hf: 64, vllm: 512).")] = None,
    tensor_parallel: Annotated[int, typer.Option(help="GPUs that share the model (vllm).")] = 1,
    max_model_len: Annotated[int | None, typer.Option(help="Longest prompt and response together (vllm).")] = None,
    base_url: Annotated[str | None, typer.Option(help="The server, with /v1 (openai).")] = None,
    api_key_env: Annotated[
        str, typer.Option(help="Variable that holds the server's API key (openai).")
    ] = "OPENAI_API_KEY",
    concurrency: Annotated[int, typer.Option(help="Requests under way at once (openai).")] = 32,
    timeout: Annotated[float, typer.Option(help="Seconds for one request (openai).")] = 600.0,
    retries: Annotated[int, typer.Option(help="Further attempts at a failed request (openai).")] = 5,
) -> None:
    """Evaluate a model: greedy pass@1 as in the paper, and from k samples avg@k, pass@k, maj@k and semantic entropy.

    Responses are written as they arrive; started again, only what is missing is done. A finished evaluation can be
    extended with a larger --k, more seeds or more benchmarks.

    Example: seed-grpo eval --model Qwen/Qwen2.5-Math-7B --data prepared --backend vllm --out results/base

    Example: seed-grpo eval --model model --data prepared --benchmarks aime24,amc --k 16 --limit 20 --out results/quick

    Example: seed-grpo eval --model NAME --backend openai --base-url http://localhost:8000/v1 --data data --out out
    """
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    from seed_grpo.evaluation.fingerprint import model_fingerprint
    from seed_grpo.evaluation.problems import load_benchmarks
    from seed_grpo.evaluation.run import Settings
    from seed_grpo.evaluation.run import evaluate as run

    if backend not in BACKENDS:
        raise UsageError(f"Unknown backend {backend!r}.", f"choose one of {', '.join(BACKENDS)}.")
    if limit is not None and limit < 1:
        raise UsageError(f"limit is {limit}.", "give --limit 1 or more.")
    names = [name.strip() for name in benchmarks.split(",") if name.strip()]
    if not names:
        raise UsageError("No benchmark is named.", "give --benchmarks aime24,amc or so.")
    loaded = load_benchmarks(data, names, template, limit)
    settings = Settings(
        identity={
            "model": model,
            "revision": revision,
            "fingerprint": None if backend == "openai" else model_fingerprint(model),
            "backend": backend,
            "dtype": dtype,
        },
        max_tokens=max_tokens,
        k=k,
        temperature=temperature,
        top_p=top_p,
        top_k=top_k,
        seeds=tuple(dict.fromkeys(seed or [0])),
        cluster_level=cluster_level,
        extra={"limit": limit},
    )

    def make_backend() -> Backend:
        if backend == "hf":
            from seed_grpo.evaluation.backends.hf import HFBackend

            return HFBackend(model, revision=revision, dtype=dtype, device=device, batch_size=batch_size or 64)
        if backend == "vllm":
            from seed_grpo.evaluation.backends.vllm import VLLMBackend

            return VLLMBackend(
                model,
                revision=revision,
                dtype=dtype,
                max_model_len=max_model_len,
                tensor_parallel=tensor_parallel,
                batch_size=batch_size or 512,
            )
        import os

        from seed_grpo.evaluation.backends.openai import OpenAIBackend

        if base_url is None:
            raise UsageError("The backend openai needs a server.", "give --base-url http://localhost:8000/v1 or so.")
        return OpenAIBackend(
            base_url,
            model,
            api_key=os.environ.get(api_key_env),
            concurrency=concurrency,
            timeout=timeout,
            retries=retries,
        )

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True)) as bar:
        task = bar.add_task("starting", total=None)

        def show(have: int, wanted: int, what: str) -> None:
            bar.update(task, completed=have, total=wanted, description=what)

        results = run(settings, loaded, make_backend, out, show)
    console = Console()
    console.print(results_table(results))
    console.print(f"{out / 'results.json'}; a page with curves: seed-grpo report {out}", soft_wrap=True)


def results_table(results: dict[str, Any]) -> Table:
    """The results in the layout of the paper's Table 2: benchmarks as columns, the average last."""
    from rich.table import Table

    numbers = results["benchmarks"]
    table = Table(title=str(results["settings"]["model"]))
    table.add_column("")
    for name in [*numbers, "average"]:
        table.add_column(name, justify="right")

    def add(label: str, values: list[Any], average: str = "") -> None:
        table.add_row(label, *(str(value) for value in values), average)

    def percent(value: float) -> str:
        return f"{100 * value:.1f}"

    add("problems", [_count(each) for each in numbers.values()])
    add("pass@1 (greedy)", [percent(each["pass_at_1"]) for each in numbers.values()], percent(results["average"]))
    add(
        "95 % interval",
        ["{:.1f}–{:.1f}".format(*(100 * b for b in each["pass_at_1_interval"])) for each in numbers.values()],
    )
    add("cut off", [each["truncated"] for each in numbers.values()])
    add("no answer", [each["no_answer"] for each in numbers.values()])
    if "averages" in results:
        k = results["settings"]["samples"]
        averages = results["averages"]
        for label, key in ((f"avg@{k}", "avg_at_k"), (f"maj@{k}", "maj_at_k")):
            add(label, [_with_std(each, key) for each in numbers.values()], _with_std(averages, key))
        add(
            f"pass@{k}",
            [percent(each["pass_at_k"][str(k)]) for each in numbers.values()],
            percent(averages["pass_at_k"][str(k)]),
        )
        auroc = [each["uncertainty"]["rao_blackwell"]["auroc"] for each in numbers.values()]
        overall = results["uncertainty"]["rao_blackwell"]["auroc"]
        add(
            "AUROC of entropy",
            ["–" if each is None else f"{each:.2f}" for each in auroc],
            "–" if overall is None else f"{overall:.2f}",
        )
    return table


def _count(numbers: dict[str, Any]) -> str:
    expected = numbers["expected_rows"]
    return str(numbers["n"]) if expected in (None, str(numbers["n"])) else f"{numbers['n']} of {expected}"


def _with_std(numbers: dict[str, Any], key: str) -> str:
    std = numbers[f"{key}_std"]
    return f"{100 * numbers[key]:.1f}" + ("" if std is None else f" ± {100 * std:.1f}")
