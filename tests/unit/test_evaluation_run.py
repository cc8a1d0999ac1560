"""Evaluations with a real model: end to end on the real benchmarks, twice, interrupted, extended, misused."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from seed_grpo.cli import app
from seed_grpo.data.prepare import Options, plan, prepare
from seed_grpo.data.registry import BENCHMARKS
from seed_grpo.data.templates import get_template
from seed_grpo.errors import SeedGrpoError, UsageError
from seed_grpo.evaluation.responses import Key, ResponseFile
from seed_grpo.evaluation.run import response_seed

pytest.importorskip("transformers")


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The quickstart's architecture with random weights, small: it babbles, at various lengths."""
    from seed_grpo.quickstart.model import build_model

    folder = tmp_path_factory.mktemp("model")
    build_model(folder, seed=0, hidden_size=32, layers=1)
    return folder


@pytest.fixture(scope="module")
def sums(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sums")
    prepare(plan(["arithmetic"], [], split="test"), folder, Options(get_template("none")))
    return folder


def run(model: Path, data: Path, out: Path, *arguments: str, benchmarks: str = "arithmetic") -> dict[str, Any]:
    done = CliRunner().invoke(
        app,
        ["eval", "--model", str(model), "--data", str(data), "--out", str(out), "--benchmarks", benchmarks,
         "--device", "cpu", "--max-tokens", "8", "--batch-size", "16", *arguments],
    )  # fmt: skip
    if done.exception and not isinstance(done.exception, SystemExit):
        raise done.exception
    assert done.exit_code == 0, done.output
    return json.loads((out / "results.json").read_text())


def lines(out: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (out / "responses.jsonl").read_text().splitlines()]


def without_time(results: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in results.items() if name != "wall_seconds"}


def test_the_five_real_files(model: Path, shared_data: Path, tmp_path: Path) -> None:
    """The first 20 problems of each benchmark, greedy, end to end."""
    prepare(plan(list(BENCHMARKS), [str(shared_data)]), tmp_path / "data", Options(get_template("qwen_math")))
    results = run(model, tmp_path / "data", tmp_path / "out", "--limit", "20", benchmarks=",".join(BENCHMARKS))
    assert list(results["benchmarks"]) == list(BENCHMARKS)
    for name, numbers in results["benchmarks"].items():
        responses = [line for line in lines(tmp_path / "out") if line["benchmark"] == name]
        assert numbers["n"] == len(responses) == 20
        assert numbers["pass_at_1"] == sum(line["correct"] for line in responses) / 20
        assert numbers["truncated"] == sum(line["truncated"] for line in responses)
        assert numbers["tokens_mean"] == pytest.approx(np.mean([line["tokens"] for line in responses]))
        assert all(line["truncated"] == (line["tokens"] == 8) or line["tokens"] == 8 for line in responses)
    assert results["average"] == np.mean([numbers["pass_at_1"] for numbers in results["benchmarks"].values()])
    settings = results["settings"]
    assert settings["template"]["amc"] == "qwen_math"
    assert settings["max_tokens"] == 8
    assert settings["data"]["minerva"]["expected_rows"] == "272"
    assert results["backend"]["versions"]["transformers"]
    assert len(results["backend"]["fingerprint"]) == 64


def test_twice_gives_identical_numbers(model: Path, sums: Path, tmp_path: Path) -> None:
    first, second = (run(model, sums, tmp_path / name, "--k", "4", "--limit", "10") for name in "ab")
    assert without_time(first) == without_time(second)
    assert (tmp_path / "a/responses.jsonl").read_bytes() == (tmp_path / "b/responses.jsonl").read_bytes()
    assert (tmp_path / "a/problems.jsonl").read_bytes() == (tmp_path / "b/problems.jsonl").read_bytes()
    # And once more in the same folder: nothing is left to do, and nothing changes.
    assert run(model, sums, tmp_path / "a", "--k", "4", "--limit", "10") == first


def test_interrupted_anywhere_it_ends_the_same(model: Path, sums: Path, tmp_path: Path) -> None:
    arguments = ["--k", "2", "--limit", "20", "--seed", "0", "--seed", "1"]
    whole = run(model, sums, tmp_path / "whole", *arguments)
    content = (tmp_path / "whole/responses.jsonl").read_bytes()
    state = (tmp_path / "whole/evaluation.json").read_bytes()
    for cut in (10, len(content) // 3, len(content) - 5):
        out = tmp_path / f"cut_{cut}"
        out.mkdir()
        (out / "responses.jsonl").write_bytes(content[:cut])  # as a killed process leaves it, in the middle of a line
        (out / "evaluation.json").write_bytes(state)
        again = run(model, sums, out, *arguments)
        assert (out / "responses.jsonl").read_bytes() == content
        assert again["benchmarks"] == whole["benchmarks"]


@pytest.mark.slow
def test_a_killed_process_is_continued(model: Path, sums: Path, tmp_path: Path) -> None:
    command = [
        sys.executable, "-m", "seed_grpo.cli", "eval", "--model", str(model), "--data", str(sums),
        "--out", str(tmp_path / "out"), "--benchmarks", "arithmetic", "--limit", "40",
        "--device", "cpu", "--max-tokens", "32", "--batch-size", "2", "--k", "2",
    ]  # fmt: skip
    file = tmp_path / "out/responses.jsonl"
    few_threads = {**os.environ, "OMP_NUM_THREADS": "1"}
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=few_threads)
    deadline = time.monotonic() + 120
    while not (file.is_file() and file.stat().st_size > 1_000):
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    kept = file.read_bytes()
    kept = kept[: kept.rfind(b"\n") + 1]
    assert 0 < kept.count(b"\n") < 40 * 3
    assert subprocess.run(command, capture_output=True, timeout=300, check=False, env=few_threads).returncode == 0
    records = lines(tmp_path / "out")
    assert len({(line["id"], line["seed"], line["sample"]) for line in records}) == len(records) == 40 * 3
    old = [json.loads(line) for line in kept.splitlines()]
    new = {(line["id"], line["seed"], line["sample"]): line["response"] for line in records}
    assert all(new[line["id"], line["seed"], line["sample"]] == line["response"] for line in old)


def test_extended(model: Path, sums: Path, tmp_path: Path) -> None:
    """More samples, seeds and problems are added to what is there; less is counted without what is not asked for."""
    out = tmp_path / "out"
    run(model, sums, out, "--limit", "10")
    small = {(line["id"], line["seed"], line["sample"]): line["response"] for line in lines(out)}
    results = run(model, sums, out, "--limit", "20", "--k", "2", "--seed", "3", "--seed", "4")
    assert len(lines(out)) == 20 + 20 * 2 * 2
    large = {(line["id"], line["seed"], line["sample"]): line["response"] for line in lines(out)}
    assert all(large[key] == response for key, response in small.items())
    assert set(results["benchmarks"]["arithmetic"]["per_seed"]) == {"3", "4"}
    again = run(model, sums, out, "--limit", "10")
    assert again["benchmarks"]["arithmetic"]["n"] == 10
    assert "averages" not in again
    assert len(lines(out)) == 100, "what is not asked for now is kept"


def test_samples_differ_by_seed_sample_and_problem_and_not_by_batch(model: Path, sums: Path, tmp_path: Path) -> None:
    outs = [tmp_path / name for name in ("a", "b")]
    run(model, sums, outs[0], "--k", "3", "--limit", "6", "--seed", "0", "--seed", "1", "--batch-size", "16")
    run(model, sums, outs[1], "--k", "3", "--limit", "6", "--seed", "0", "--seed", "1", "--batch-size", "5")
    assert [line["response"] for line in lines(outs[0])] == [line["response"] for line in lines(outs[1])]
    sampled = [line["response"] for line in lines(outs[0]) if line["sample"] != "greedy"]
    assert len(set(sampled)) > 30
    keys = [Key("b", str(p), s, k) for p in range(20) for s in range(5) for k in range(-1, 5)]
    seeds = [response_seed(key) for key in keys]
    assert len(set(seeds)) == len(keys)
    assert all(0 <= seed < 2**31 for seed in seeds)


def test_row_seeds_sample_from_the_model_s_distribution(model: Path) -> None:
    """4,000 first tokens against the softmax of the logits, at a temperature and with a nucleus."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    from seed_grpo.engines.hf import HFEngine
    from seed_grpo.engines.sampling import Sampling

    tokenizer = AutoTokenizer.from_pretrained(model)
    loaded = AutoModelForCausalLM.from_pretrained(model)
    prompt = tokenizer.encode("1+1=")
    with torch.no_grad():
        logits = loaded(torch.tensor([prompt])).logits[0, -1]
    engine = HFEngine(loaded, [tokenizer.eos_token_id], tokenizer.pad_token_id)
    for sampling in (Sampling(1, temperature=0.7), Sampling(1, temperature=1.0, top_p=0.5), Sampling(1, top_k=4)):
        expected = torch.softmax(logits / sampling.temperature, -1)
        if sampling.top_p < 1 or sampling.top_k > 0:
            ordered, index = expected.sort(descending=True)
            keep = (
                (ordered.cumsum(0) - ordered < sampling.top_p)
                if sampling.top_p < 1
                else torch.arange(len(ordered)) < sampling.top_k
            )
            expected = torch.zeros_like(expected).scatter(0, index[keep], ordered[keep])
            expected /= expected.sum()
        responses = engine.generate([prompt] * 4000, sampling, row_seeds=range(4000))
        counts = torch.bincount(torch.tensor([response.token_ids[0] for response in responses]), minlength=len(logits))
        assert counts[expected == 0].sum() == 0
        # Total variation between 4,000 draws and their distribution.
        assert float((counts / 4000 - expected).abs().sum() / 2) < 0.12
        assert responses[0].log_probs[0] == pytest.approx(
            float(torch.log_softmax(logits / sampling.temperature, -1)[responses[0].token_ids[0]]), abs=1e-4
        )


def test_a_prompt_that_fills_the_context_is_counted_as_cut_off(tmp_path: Path) -> None:
    from seed_grpo.engines.sampling import Sampling
    from seed_grpo.evaluation.backends import BackendOptions, Prompt, Request, Source
    from seed_grpo.quickstart.model import build_model

    build_model(tmp_path, hidden_size=32, layers=1, max_length=16)
    source = Source(BackendOptions(str(tmp_path), device="cpu"))
    backend = source.load(source.load_tokenizer())
    requests = [Request(Prompt("", (5,) * length), seed) for seed, length in enumerate((20, 14, 4))]
    found = dict(backend.complete(requests, Sampling(8, 0.0)))
    assert (found[0].text, found[0].truncated, found[0].tokens) == ("", True, 0)
    assert found[1].tokens is not None
    assert found[1].tokens <= 2
    assert found[2].tokens is not None
    assert found[2].tokens <= 8


class TestMisuse:
    def test_another_evaluation_is_not_mixed_in(self, model: Path, sums: Path, tmp_path: Path) -> None:
        run(model, sums, tmp_path, "--limit", "2", "--k", "2")
        for arguments, name in (
            (["--max-tokens", "9"], "max_tokens"),
            (["--k", "2", "--temperature", "0.5"], "temperature"),
            (["--template", "qwen_math"], "data or template"),
            (["--dtype", "bfloat16"], "dtype"),
        ):
            with pytest.raises(UsageError, match=name):
                run(model, sums, tmp_path, "--limit", "2", *arguments)

    def test_another_model_of_the_same_name(self, sums: Path, tmp_path: Path) -> None:
        from seed_grpo.quickstart.model import build_model

        build_model(tmp_path / "model", seed=0, hidden_size=32, layers=1)
        run(tmp_path / "model", sums, tmp_path / "out", "--limit", "1")
        build_model(tmp_path / "model", seed=1, hidden_size=32, layers=1)
        with pytest.raises(UsageError, match="fingerprint"):
            run(tmp_path / "model", sums, tmp_path / "out", "--limit", "1")

    def test_two_at_once(self, model: Path, sums: Path, tmp_path: Path) -> None:
        import fcntl

        with open(tmp_path / ".lock", "w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            with pytest.raises(SeedGrpoError, match="Another evaluation"):
                run(model, sums, tmp_path)

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            (["--benchmarks", "nothing"], "has no benchmark 'nothing'"),
            (["--benchmarks", ","], "No benchmark is named"),
            (["--k", "0"], "k is 0"),
            (["--temperature", "0"], "temperature is 0"),
            (["--limit", "0"], "limit is 0"),
            (["--backend", "tgi"], "Unknown backend"),
            (["--backend", "openai"], "needs a server"),
            (["--template", "chatml"], "Unknown template"),
            (["--cluster-level", "loose"], "loose"),
            (["--model", "/nowhere"], "cannot be loaded"),
        ],
    )
    def test_usage(self, model: Path, sums: Path, tmp_path: Path, arguments: list[str], message: str) -> None:
        with pytest.raises(SeedGrpoError, match=message):
            run(model, sums, tmp_path, *arguments)

    @pytest.mark.skipif("vllm" in sys.modules, reason="vllm is installed")
    def test_vllm_is_refused_where_it_is_not_installed(self, model: Path, sums: Path, tmp_path: Path) -> None:
        try:
            from vllm import LLM  # noqa: F401
        except ImportError:
            with pytest.raises(SeedGrpoError, match="needs vLLM, which does not load here"):
                run(model, sums, tmp_path, "--backend", "vllm")
        else:
            pytest.skip("vllm is installed here")

    def test_a_damaged_response_file(self, model: Path, sums: Path, tmp_path: Path) -> None:
        run(model, sums, tmp_path, "--limit", "2")
        file = tmp_path / "responses.jsonl"
        file.write_text("nonsense\n" + file.read_text())
        with pytest.raises(SeedGrpoError, match="line 1 is not a response"):
            run(model, sums, tmp_path, "--limit", "2")


def test_whatever_a_model_writes_stays_one_line(tmp_path: Path) -> None:
    from seed_grpo.evaluation.backends import Completion

    texts = ["\ud800", "\u2028 \x85 \n\r\0", "{}", '"', "é" * 3, ""]
    file = ResponseFile(tmp_path / "r.jsonl")
    for number, text in enumerate(texts):
        file.append(Key("b", "p", 0, number), Completion(text, False, 1, -0.5))
    file.close()
    again = ResponseFile(tmp_path / "r.jsonl")
    assert [again.have[Key("b", "p", 0, number)].text for number in range(len(texts))] == texts
    assert os.path.getsize(tmp_path / "r.jsonl") > 0


def test_one_sample_at_a_temperature(model: Path, sums: Path, tmp_path: Path) -> None:
    results = run(model, sums, tmp_path, "--temperature", "0.7", "--limit", "5", "--seed", "0", "--seed", "1")
    numbers = results["benchmarks"]["arithmetic"]
    assert numbers["k"] == 1
    assert numbers["entropy"] == {"monte_carlo": 0.0, "rao_blackwell": 0.0}
    assert results["uncertainty"]["adaptive_sampling"] is None
    assert results["settings"]["temperature"] == 0.7
    from seed_grpo.report.build import collect, to_html

    assert "avg@1" in to_html(collect([tmp_path], "t"))
