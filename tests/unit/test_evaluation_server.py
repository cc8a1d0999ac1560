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
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from seed_grpo.cli import app
from seed_grpo.data.prepare import Options, plan, prepare
from seed_grpo.data.templates import get_template
from seed_grpo.engines.sampling import Sampling
from seed_grpo.errors import SeedGrpoError, UsageError
from seed_grpo.evaluation.backends import Completion, Request
from seed_grpo.evaluation.backends.openai import OpenAIBackend

Handler = BaseHTTPRequestHandler
Reply = Callable[[Handler, dict[str, Any]], None]


def completion(text: str, reason: str = "stop", **fields: Any) -> dict[str, Any]:
    choice = {"index": 0, "text": text, "finish_reason": reason, **fields}
    return {"object": "text_completion", "choices": [choice], "usage": {"completion_tokens": len(text)}}


def send(handler: Handler, content: Any, status: int = 200, headers: dict[str, str] | None = None) -> None:
    body = content if isinstance(content, bytes) else json.dumps(content).encode()
    handler.send_response(status)
    for name, value in {"Content-Length": str(len(body)), **(headers or {})}.items():
        handler.send_header(name, value)
    handler.end_headers()
    handler.wfile.write(body)


@contextmanager
def serve(reply: Reply) -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """A server that answers with `reply`; yields its URL and the bodies that it received."""
    received: list[dict[str, Any]] = []

    class Handle(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            received.append({**body, "path": self.path, "authorization": self.headers.get("Authorization")})
            try:
                reply(self, body)
            except OSError:
                self.close_connection = True

        def log_message(self, *arguments: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handle)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/v1", received
    finally:
        server.shutdown()
        server.server_close()


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
    settings = {"first_pause": 0.01, "timeout": 1.0, **options}
    backend = OpenAIBackend(url, "m", **settings)
    return dict(backend.complete([Request(f"{i}+{i}=", i) for i in range(requests)], sampling))


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
            assert time.monotonic() - start < 5

    def test_pauses_grow_and_follow_the_server(self) -> None:
        with serve(first_fail([status(500), status(429, {"Retry-After": "1"})])) as (url, _):
            start = time.monotonic()
            ask(url, first_pause=0.2)
            assert 1.2 <= time.monotonic() - start < 3

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
        with pytest.raises(UsageError, match="is no URL"):
            ask("localhost:8000")


class TestRequests:
    def test_what_is_sent(self) -> None:
        with serve(body(completion("x"))) as (url, received):
            ask(url + "/", sampling=Sampling(99, 0.6, 0.9, 20, ("</answer>",)), api_key="secret")
        assert received[0] == {
            "path": "/v1/completions", "authorization": "Bearer secret", "model": "m", "prompt": "0+0=", "n": 1,
            "seed": 0, "max_tokens": 99, "temperature": 0.6, "top_p": 0.9, "top_k": 20, "stop": ["</answer>"],
        }  # fmt: skip

    def test_greedy_and_plain(self) -> None:
        with serve(body(completion("x", "length"))) as (url, received):
            assert ask(url)[0] == Completion("x", truncated=True, tokens=1)
        assert received[0]["temperature"] == 0.0
        assert "top_k" not in received[0]
        assert "stop" not in received[0]

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


@pytest.mark.slow
def test_transformers_serve(tmp_path: Path) -> None:
    """A real inference server, transformers' own, gives what the backend hf gives."""
    pytest.importorskip("uvicorn", reason="transformers serve needs uvicorn")
    pytest.importorskip("fastapi", reason="transformers serve needs fastapi")
    import httpx

    from seed_grpo.evaluation.backends.hf import HFBackend
    from seed_grpo.quickstart.model import build_model

    model = tmp_path / "model"
    build_model(model, hidden_size=32, layers=1)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [
        os.path.join(os.path.dirname(sys.executable), "transformers"),
        "serve",
        str(model),
        "--port",
        str(port),
        "--device",
        "cpu",
    ]
    log = open(tmp_path / "serve.log", "w")  # noqa: SIM115
    server = subprocess.Popen(command, stdout=log, stderr=log)
    try:
        deadline = time.monotonic() + 180
        while True:
            try:
                httpx.get(f"http://127.0.0.1:{port}/health", timeout=5)
                break
            except httpx.HTTPError:
                assert server.poll() is None, (tmp_path / "serve.log").read_text()[-2000:]
                assert time.monotonic() < deadline
                time.sleep(0.5)
        backend = OpenAIBackend(f"http://127.0.0.1:{port}/v1", str(model), concurrency=2, timeout=120)
        requests = [Request(f"{a}+{a}=", a) for a in range(6)]
        served = dict(backend.complete(requests, Sampling(8, 0.0)))
    finally:
        server.terminate()
        server.wait(30)
        log.close()
    ours = dict(HFBackend(str(model), device="cpu").complete(requests, Sampling(8, 0.0)))
    assert {i: served[i].text for i in served} == {i: ours[i].text for i in ours}
    # transformers counts a response that ends with its last allowed token as cut off, too.
    assert all(served[i].truncated or not ours[i].truncated for i in ours)
