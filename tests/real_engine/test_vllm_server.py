"""verl's vLLM server, asked as a run asks it: greedy and seeded responses, aborts, new weights, and faults."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from omegaconf import OmegaConf
from runs import RUN_SECONDS, Scratch, tiny_run

from seed_grpo.training.compose import compose_config

Found = dict[str, Any]


@pytest.fixture(scope="module")
def found(quickstart_base: Path, tmp_path_factory: pytest.TempPathFactory) -> Found:
    scratch = Scratch()  # a short path: Ray puts sockets into it
    config = compose_config(
        tiny_run(quickstart_base, scratch.folder, "platform=cpu_vllm", "data.max_response_length=1000",
                 "actor_rollout_ref.rollout.checkpoint_engine.update_weights_bucket_megabytes=1")
    )  # fmt: skip
    OmegaConf.save(config, scratch.folder / "config.yaml", resolve=True)
    done = subprocess.run(
        [sys.executable, Path(__file__).with_name("server_lab.py"), scratch.folder / "config.yaml", scratch.folder],
        capture_output=True,
        text=True,
        timeout=RUN_SECONDS,
        env=scratch.environment,
    )
    results = scratch.folder / "found.json"
    assert results.is_file(), done.stdout[-3000:] + done.stderr[-3000:]
    return json.loads(results.read_text())


def check_same(vllm: list[Any], hf: list[Any]) -> None:
    assert [tokens for tokens, _ in vllm] == [tokens for tokens, _ in hf]
    for (_, theirs), (_, ours) in zip(vllm, hf, strict=True):
        assert theirs == pytest.approx(ours, abs=2e-5)


def test_greedy_is_the_hf_rollouts_token_by_token(found: Found) -> None:
    assert len({tuple(tokens) for tokens, _ in found["greedy"]["hf"]}) > 1
    check_same(found["greedy"]["vllm"], found["greedy"]["hf"])


def test_a_seed_repeats_and_a_group_needs_several(found: Found) -> None:
    seeds = found["seeds"]
    assert seeds["own"] == seeds["again"]
    assert len({tuple(tokens) for tokens in seeds["one"]}) == 1, "one seed no longer gives copies: why send several?"
    assert len({tuple(tokens) for tokens in seeds["own"]}) > 1


def test_a_prompt_that_fills_the_context_is_refused_by_name(found: Found) -> None:
    assert "no room to generate" in found["too_long"]
    assert "1016" in found["too_long"]


def test_aborted_requests_return_what_they_have(found: Found) -> None:
    aborted = found["aborted"]
    assert aborted["report"] == len(aborted["stopped"]) == 6
    for reason, tokens, log_probs in aborted["stopped"]:
        assert reason == "aborted"
        assert 0 < tokens == log_probs < 1000
    assert aborted["waited"]
    assert aborted["late"] > 0


def test_an_update_in_several_parts_is_in_force(found: Found) -> None:
    updated = found["updated"]
    check_same(updated["vllm"], updated["hf"])
    assert updated["vllm"] != updated["before"]
    assert updated["step"] == 3


def test_an_update_that_vllm_refuses_ends_with_its_reason(found: Found) -> None:
    refused = found["refused"]
    assert refused["error"].startswith("SeedGrpoError: vLLM (replica 0) did not take the new weights: "), refused
    assert "Worker failed with error" in refused["error"]
    assert refused["seconds"] < 30
    assert refused["step_afterwards"] == 4, "the server serves on"


def test_an_update_that_nobody_takes_ends_after_its_time(found: Found) -> None:
    stalled = found["stalled"]
    assert "did not take the new weights: TimeoutError: no answer within 3 s" in stalled["error"]
    assert 3 <= stalled["seconds"] < 30


def test_a_killed_engine_is_named(found: Found) -> None:
    killed = found["killed"]
    assert "EngineDeadError" in killed["request"]
    assert killed["update"]["error"].startswith("SeedGrpoError: vLLM (replica 0) did not take the new weights: ")
    assert killed["update"]["seconds"] < 60
    assert killed["before"] is None
    assert killed["health"] == "has lost its engine"
