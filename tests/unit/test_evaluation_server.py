"""The backend for OpenAI-compatible servers, against real servers on loopback: good ones and bad ones."""

from __future__ import annotations

import collections
import json
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from completion_servers import Handler, Reply, completion, send, serve
from typer.testing import CliRunner

from seed_grpo.cli import app
from seed_grpo.data.prepare import Options, plan, prepare
from seed_grpo.data.templates import get_template
from seed_grpo.engines.sampling import Sampling
from seed_grpo.errors import SeedGrpoError, UsageError
from seed_grpo.evaluation.backends import BackendOptions, Completion, Prompt, Request, Source
from seed_grpo.evaluation.backends.openai import OpenAIBackend
from seed_grpo.quickstart.model import build_model, build_tokenizer
from seed_grpo.report.load import load
from seed_grpo.report.tables import details_table


def first_fail(failures: list[Reply]) -> Reply:
    """Answer `4` to a prompt, after failing in each of the given ways."""
    lock = threading.Lock()

    def reply(handler: Handler, body: dict[str, Any]) -> None:
        with lock:
            fail = failures.pop(0) if failures else None
        if fail is not None:
            fail(handler, body)
        else:
            send(handler, completion("\\boxed{4}"))

    return reply


def hang(seconds: float) -> Reply:
    return lambda handler, body: time.sleep(seconds)


def drip(handler: Handler, body: dict[str, Any]) -> None:
    """A byte every 50 ms: never silent for long, never done."""
    handler.send_response(200)
    handler.send_header("Content-Length", "1000")
    handler.end_headers()
    for _ in range(1000):
        handler.wfile.write(b" ")
        handler.wfile.flush()
        time.sleep(0.05)


def cut(handler: Handler, body: dict[str, Any]) -> None:
    """The connection ends in the middle of the reply."""
    handler.send_response(200)
    handler.send_header("Content-Length", "1000")
    handler.end_headers()
    handler.wfile.write(b'{"choices": [')
    handler.wfile.flush()
    handler.connection.shutdown(socket.SHUT_RDWR)
    handler.close_connection = True


def status(code: int, headers: dict[str, str] | None = None) -> Reply:
    return lambda handler, body: send(handler, {"error": "busy"}, code, headers)


def body(content: Any) -> Reply:
    return lambda handler, request: send(handler, content)


def ask(url: str, requests: int = 1, sampling: Sampling = Sampling(8, 0.0), **options: Any) -> dict[int, Completion]:
    first_pause = options.pop("first_pause", 0.01)
    settings = BackendOptions("m", backend="openai", base_url=url, **{"timeout": 1.0, **options})
    backend = OpenAIBackend(settings, first_pause=first_pause)
    return dict(backend.complete([Request(Prompt(f"{i}+{i}="), i) for i in range(requests)], sampling))


FAILURES = {
    "500": status(500),
    "503": status(503),
    "429": status(429),
    "429 with Retry-After": status(429, {"Retry-After": "0"}),
    "429 with a date": status(429, {"Retry-After": "Wed, 21 Oct 2026 07:28:00 GMT"}),
    "hangs": hang(3),
    "drips": drip,
    "cuts the connection": cut,
    "not JSON": body(b"<html>gateway</html>"),
    "not UTF-8": body(b"\xff\xfe"),
    "deep JSON": body(b"[" * 100_000),
    "empty": body(b""),
    "null": body(None),
    "a list": body([1]),
    "no choices": body({"choices": []}),
    "two choices": body({"choices": [completion("1")["choices"][0]] * 2}),
    "no text": body({"choices": [{"finish_reason": "stop"}]}),
    "text of another type": body({"choices": [{"text": 4, "finish_reason": "stop"}]}),
    "aborted": body(completion("4", "abort")),
}


class TestFailures:
    @pytest.mark.parametrize("failure", FAILURES)
    def test_is_tried_again(self, failure: str) -> None:
        with serve(first_fail([FAILURES[failure]])) as (url, received):
            assert ask(url)[0].text == "\\boxed{4}"
            assert len(received) == 2
            assert received[0] == received[1], "the same request, with the same seed"

    @pytest.mark.parametrize("failure", ["500", "hangs", "not JSON", "cuts the connection"])
    def test_in_the_end_it_is_an_error_that_says_so(self, failure: str) -> None:
        with serve(FAILURES[failure]) as (url, received):
            start = time.monotonic()
            with pytest.raises(SeedGrpoError, match="failed 3 times"):
                ask(url, retries=2, timeout=0.5)
            assert len(received) == 3
            assert time.monotonic() - start < 30

    def test_pauses_grow_and_follow_the_server(self) -> None:
        with serve(first_fail([status(500), status(429, {"Retry-After": "1"})])) as (url, _):
            start = time.monotonic()
            ask(url, first_pause=0.2)
            assert 1.2 <= time.monotonic() - start < 30

    @pytest.mark.parametrize("code", [400, 401, 404, 422, 301])
    def test_a_refusal_is_not_tried_again(self, code: int) -> None:
        with serve(status(code)) as (url, received):
            with pytest.raises(SeedGrpoError, match=f"status {code}: .*busy"):
                ask(url)
            assert len(received) == 1

    def test_an_endless_reply_is_cut_off(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("seed_grpo.evaluation.backends.openai.MAX_BODY_BYTES", 1 << 20)
        with serve(body(b" " * (3 << 20))) as (url, _), pytest.raises(SeedGrpoError, match="more than 1 MiB"):
            ask(url, timeout=20)

    def test_no_server(self) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            url = f"http://127.0.0.1:{free.getsockname()[1]}/v1"
        with pytest.raises(SeedGrpoError, match="ConnectError"):
            ask(url, retries=1)
        with pytest.raises(UsageError, match="is not a URL"):
            ask("localhost:8000")


class TestRequests:
    def test_every_parameter_is_sent(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """A server applies the model's generation_config to whatever a request leaves out."""
        monkeypatch.setenv("SERVER_KEY", "secret")
        with serve(body(completion("x"))) as (url, received):
            ask(url + "/", sampling=Sampling(99, 0.6, 0.9, 20, ("</answer>",)), api_key_env="SERVER_KEY")
        assert received[0] == {
            "path": "/v1/completions", "authorization": "Bearer secret", "model": "m", "prompt": "0+0=", "n": 1,
            "seed": 0, "max_tokens": 99, "temperature": 0.6, "top_p": 0.9, "top_k": 20, "stop": ["</answer>"],
            "min_p": 0.0, "repetition_penalty": 1.0, "presence_penalty": 0.0, "frequency_penalty": 0.0,
            "add_special_tokens": False,
        }  # fmt: skip

    def test_those_that_do_nothing_as_well(self) -> None:
        with serve(body(completion("x", "length"))) as (url, received):
            assert ask(url)[0] == Completion("x", truncated=True, tokens=1)
            ask(url, sampling=Sampling(8))
        for request, temperature in zip(received, (0.0, 1.0), strict=True):
            assert request["temperature"] == temperature
            assert (request["top_p"], request["top_k"], request["min_p"]) == (1.0, -1, 0.0)
            assert "stop" not in request

    def test_openai_s_own_api_gets_its_own_parameters(self) -> None:
        with serve(body(completion("x"))) as (url, received):
            ask(url, sampling=Sampling(8, 0.5, top_k=3), dialect="openai")
        assert set(received[0]) == {
            "path", "authorization", "model", "prompt", "n", "seed", "max_tokens", "temperature", "top_p",
            "presence_penalty", "frequency_penalty",
        }  # fmt: skip

    def test_a_server_that_knows_openai_s_parameters_only_is_not_guessed_at(self) -> None:
        def strict(handler: Handler, request: dict[str, Any]) -> None:
            if extra := set(request) & {"top_k", "min_p", "repetition_penalty"}:
                send(handler, {"error": {"message": f"Unrecognized request arguments: {sorted(extra)}"}}, 400)
            else:
                send(handler, completion("x"))

        with serve(strict) as (url, received):
            with pytest.raises(SeedGrpoError, match=r"Unrecognized.*--dialect openai"):
                ask(url)
            assert len(received) == 1
            assert ask(url, dialect="openai")[0].text == "x"
        with pytest.raises(UsageError, match="auto, vllm, transformers, openai"):
            ask("http://localhost/v1", dialect="tgi")

    def test_the_prompt_as_token_ids_and_the_server_s_count_of_them(self) -> None:
        tokenizer = build_tokenizer()
        prompt = Prompt("1+1=", tuple(tokenizer.encode("1+1=")))

        def counting(handler: Handler, request: dict[str, Any]) -> None:
            counted = len(request["prompt"]) + (request["seed"] == 7)  # a BOS of its own
            send(handler, {**completion("2"), "usage": {"prompt_tokens": counted, "completion_tokens": 1}})

        with serve(counting) as (url, received):
            backend = OpenAIBackend(BackendOptions("m", "openai", base_url=url), tokenizer)
            assert dict(backend.complete([Request(prompt, 0)], Sampling(8)))[0].text == "2"
            assert received[0]["prompt"] == list(prompt.token_ids or ())
            assert "add_special_tokens" not in received[0]
            assert backend.describe()["prompts_sent_as"] == "token ids"
            with pytest.raises(SeedGrpoError, match="counts 5 tokens in a prompt of 4"):
                list(backend.complete([Request(prompt, 7)], Sampling(8)))

    def test_a_local_server_behind_a_proxy(self, monkeypatch: pytest.MonkeyPatch) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        monkeypatch.delenv("no_proxy", raising=False)
        monkeypatch.delenv("NO_PROXY", raising=False)
        monkeypatch.setenv("http_proxy", f"http://me:hidden@127.0.0.1:{port}")
        with serve(body(completion("x"))) as (url, received):
            named = rf"proxy 127.0.0.1:{port} of the variable http_proxy; no_proxy=127.0.0.1"
            with pytest.raises(SeedGrpoError, match=named) as caught:
                ask(url, retries=0)
            assert "hidden" not in str(caught.value)
            assert not received
        with serve(status(403)) as (proxy, _):
            monkeypatch.setenv("http_proxy", proxy.removesuffix("/v1"))
            with pytest.raises(SeedGrpoError, match=r"status 403: .*http_proxy"):
                ask("http://model.internal/v1")
        with serve(body(completion("x"))) as (url, _):
            monkeypatch.setenv("no_proxy", "127.0.0.1")
            assert ask(url)[0].text == "x"

    @pytest.mark.parametrize(
        ("reply", "text"),
        [
            (completion("<answer>4", stop_reason="</answer>"), "<answer>4</answer>"),  # vLLM
            (completion("<answer>4", matched_stop="</answer>"), "<answer>4</answer>"),  # SGLang
            (completion("<answer>4</answer>", stop_reason="</answer>"), "<answer>4</answer>"),
            (completion("<answer>4", stop_reason=None), "<answer>4"),  # ended by the model itself
            (completion("<answer>4</answer> and on", "length"), "<answer>4</answer>"),  # stop strings ignored
        ],
    )
    def test_stop_strings(self, reply: dict[str, Any], text: str) -> None:
        with serve(body(reply)) as (url, _):
            found = ask(url, sampling=Sampling(8, 0.0, stop=("</answer>",)))[0]
        assert (found.text, found.truncated) == (text, False)

    def test_several_at_once_and_each_to_its_own(self) -> None:
        busy = collections.Counter[str]()
        lock = threading.Lock()

        def reply(handler: Handler, request: dict[str, Any]) -> None:
            with lock:
                busy["now"] += 1
                busy["most"] = max(busy["most"], busy["now"])
            time.sleep(0.02)
            with lock:
                busy["now"] -= 1
            send(handler, completion(request["prompt"]))

        with serve(reply) as (url, _):
            found = ask(url, requests=40, concurrency=8, timeout=20)
        assert {index: each.text for index, each in found.items()} == {i: f"{i}+{i}=" for i in range(40)}
        assert 2 <= busy["most"] <= 8


def scripted(handler: Handler, request: dict[str, Any]) -> None:
    """A model whose sums are right when greedy, and by its seed otherwise; it cuts off every answer of 100 or more."""
    a, b = request["prompt"].removesuffix("=").split("+")
    wrong = 0 if request["temperature"] == 0 else request["seed"] % (1 + int(a) % 4)
    answer = int(a) + int(b) + wrong
    send(handler, completion(f"\\boxed{{{answer}}}", "length" if answer >= 100 else "stop"))


def evaluate(url: str, folder: Path, *arguments: str) -> dict[str, Any]:
    done = CliRunner().invoke(
        app,
        ["eval", "--model", "m", "--backend", "openai", "--base-url", url, "--data", str(folder / "data"),
         "--benchmarks", "arithmetic", "--out", str(folder / "out"), "--concurrency", "8", *arguments],
    )  # fmt: skip
    if done.exception:
        raise done.exception
    return json.loads((folder / "out/results.json").read_text())


def test_a_whole_evaluation(tmp_path: Path) -> None:
    """Every number of the result, counted again from the responses."""
    prepare(plan(["arithmetic"], [], split="test"), tmp_path / "data", Options(get_template("none")))
    with serve(scripted) as (url, received):
        results = evaluate(url, tmp_path, "--k", "8", "--seed", "0", "--seed", "1", "--limit", "100")
        assert len(received) == 100 * (1 + 2 * 8)
        assert len({request["seed"] for request in received}) == len(received)
    records = [json.loads(line) for line in (tmp_path / "out/responses.jsonl").read_text().splitlines()]
    numbers = results["benchmarks"]["arithmetic"]
    greedy = [line for line in records if line["sample"] == "greedy"]
    assert numbers["pass_at_1"] == 1.0 == results["average"]
    assert numbers["truncated"] == sum(line["truncated"] for line in greedy)

    def groups(seed: int) -> list[list[dict[str, Any]]]:
        by_problem = collections.defaultdict(list)
        for line in records:
            if line["seed"] == seed:
                by_problem[line["id"]].append(line)
        return list(by_problem.values())

    averages, votes = [], []
    for seed in (0, 1):
        found = groups(seed)
        assert [len(group) for group in found] == [8] * 100
        averages.append(sum(line["correct"] for group in found for line in group) / 800)
        right = 0
        for group in found:
            counts = collections.Counter(line["answer"] for line in group)
            top = counts.most_common(1)[0][0]
            right += next(line["correct"] for line in group if line["answer"] == top)
        votes.append(right / 100)
    assert numbers["avg_at_k"] == pytest.approx(sum(averages) / 2)
    assert numbers["maj_at_k"] == pytest.approx(sum(votes) / 2)
    assert numbers["avg_at_k_std"] == pytest.approx(abs(averages[0] - averages[1]) / 2**0.5)
    assert numbers["pass_at_k"]["1"] == pytest.approx(numbers["avg_at_k"])
    some = [any(line["correct"] for line in group) for seed in (0, 1) for group in groups(seed)]
    assert numbers["pass_at_k"]["8"] == pytest.approx(sum(some) / 200)
    low, high = numbers["avg_at_k_interval"]
    assert low < numbers["avg_at_k"] < high
    # The more wrong answers a sum can have, the less certain it is: entropy must tell right from wrong here.
    assert numbers["uncertainty"]["rao_blackwell"]["auroc"] > 0.7
    assert results["uncertainty"] == numbers["uncertainty"], "one benchmark alone is all of them"
    problems = [json.loads(line) for line in (tmp_path / "out/problems.jsonl").read_text().splitlines()]
    assert len(problems) == 100
    for problem in problems:
        for seed in problem["seeds"]:
            assert seed["K"] == len(set(seed["answers"]))
            assert 0.98 <= seed["weight"] <= 1.0
            assert (seed["entropy"] == 0) == (seed["K"] == 1)


def test_a_server_that_dies_on_the_way(tmp_path: Path) -> None:
    prepare(plan(["arithmetic"], [], split="test"), tmp_path / "data", Options(get_template("none")))
    answered = threading.Semaphore(30)

    def dying(handler: Handler, request: dict[str, Any]) -> None:
        if answered.acquire(blocking=False):
            scripted(handler, request)
        else:
            send(handler, {"error": "out of memory"}, 500)

    arguments = ["--k", "2", "--limit", "50", "--retries", "0"]
    with serve(dying) as (url, _), pytest.raises(SeedGrpoError, match="out of memory"):
        evaluate(url, tmp_path, *arguments)
    kept = len((tmp_path / "out/responses.jsonl").read_text().splitlines())
    assert 20 < kept <= 30
    with serve(scripted) as (url, received):  # another port: the same model on another server goes on
        broken_off = evaluate(url, tmp_path, *arguments)
        assert len(received) == 150 - kept
        (tmp_path / "other").mkdir()
        (tmp_path / "other/data").symlink_to(tmp_path / "data")
        whole = evaluate(url, tmp_path / "other", *arguments)
    assert broken_off["benchmarks"] == whole["benchmarks"]
    assert (tmp_path / "out/responses.jsonl").read_bytes() == (tmp_path / "other/out/responses.jsonl").read_bytes()


def test_samples_that_are_all_the_same_are_noticed(tmp_path: Path) -> None:
    """A server that decodes greedily whatever it is asked, and one answer that is no answer of the template."""
    prepare(plan(["arithmetic"], [], split="test"), tmp_path / "data", Options(get_template("none")))

    def greedy(handler: Handler, request: dict[str, Any]) -> None:
        scripted(handler, {**request, "temperature": 0})

    with serve(greedy) as (url, _):
        results = evaluate(url, tmp_path, "--k", "4", "--limit", "10", "--temperature", "0.7")
        [warning] = results["warnings"]
        assert "one and the same text at temperature 0.7" in warning
        assert results["benchmarks"]["arithmetic"]["identical_samples"] == 10
        assert warning in "\n".join(details_table(load([tmp_path / "out"])[1][0]).notes), "the report says it as well"
    (tmp_path / "other").mkdir()
    (tmp_path / "other/data").symlink_to(tmp_path / "data")
    with serve(scripted) as (url, _):
        results = evaluate(url, tmp_path / "other", "--k", "4", "--limit", "10")
        assert results["warnings"] == []
        again = evaluate(url, tmp_path / "other", "--k", "4", "--limit", "10", "--answer-template", "gsm8k")
        assert "no greedy response has an answer of the form 'gsm8k'" in again["warnings"][0]


HARMFUL = {"do_sample": False, "temperature": 0.01, "top_k": 1, "repetition_penalty": 50.0, "min_p": 0.9}


@contextmanager
def transformers_serve(model: Path, folder: Path) -> Iterator[str]:
    """transformers' own server for a model folder; yields its URL."""
    pytest.importorskip("uvicorn", reason="transformers serve needs uvicorn")
    pytest.importorskip("fastapi", reason="transformers serve needs fastapi")
    import httpx

    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    program = os.path.join(os.path.dirname(sys.executable), "transformers")
    log = open(folder / "serve.log", "w")  # noqa: SIM115
    server = subprocess.Popen(
        [program, "serve", str(model), "--port", str(port), "--device", "cpu"], stdout=log, stderr=log
    )
    try:
        deadline = time.monotonic() + 180
        while True:
            try:
                httpx.get(f"http://127.0.0.1:{port}/health", timeout=5)
                break
            except httpx.HTTPError:
                assert server.poll() is None, (folder / "serve.log").read_text()[-2000:]
                assert time.monotonic() < deadline
                time.sleep(0.5)
        yield f"http://127.0.0.1:{port}/v1"
    finally:
        server.terminate()
        server.wait(30)
        log.close()


@pytest.mark.slow
def test_transformers_serve(tmp_path: Path) -> None:
    """A real inference server, transformers' own, gives what the backend hf gives, whatever the model's folder says."""
    model = tmp_path / "model"
    build_model(model, hidden_size=32, layers=1)
    config = json.loads((model / "generation_config.json").read_text())
    (model / "generation_config.json").write_text(json.dumps({**config, **HARMFUL}))
    texts = [f"{a}+{a}=" for a in range(6)]
    source = Source(BackendOptions(str(model), device="cpu"))
    tokenizer = source.load_tokenizer()
    requests = [Request(Prompt(text, tuple(tokenizer.encode(text))), seed) for seed, text in enumerate(texts)]
    with transformers_serve(model, tmp_path) as url:
        options = BackendOptions(str(model), "openai", base_url=url, concurrency=2, timeout=120)
        backend = OpenAIBackend(options, tokenizer)
        served = dict(backend.complete(requests, Sampling(8, 0.0)))
        sampled = dict(backend.complete([Request(requests[0].prompt, seed) for seed in range(8)], Sampling(8)))
        assert backend.describe()["dialect"] == "transformers"
    ours = dict(source.load(tokenizer).complete(requests, Sampling(8, 0.0)))
    assert {i: served[i].text for i in served} == {i: ours[i].text for i in ours}
    # transformers counts a response that ends with its last allowed token as cut off, too.
    assert all(served[i].truncated or not ours[i].truncated for i in ours)
    assert len({each.text for each in sampled.values()}) > 5, "samples, not one greedy response"
