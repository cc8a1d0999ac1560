"""The rollout engine: what it samples, and the log-probabilities that it reports."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import pytest
import torch

from seed_grpo.engines.hf import HFEngine, _Sampler
from seed_grpo.engines.sampling import Sampling
from seed_grpo.errors import SeedGrpoError
from seed_grpo.quickstart.model import build_model
from seed_grpo.verl_plugin.cpu.engine import TrainedEngine

PROMPTS = [[49, 50, 51], [60, 61, 62, 63, 64, 65, 66], [70]]


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> HFEngine:
    folder = tmp_path_factory.mktemp("model")
    build_model(folder, seed=3, hidden_size=32, layers=2)
    return HFEngine.from_folder(str(folder))


def full_log_probs(engine: HFEngine, prompt: list[int], response: list[int], temperature: float = 1.0) -> torch.Tensor:
    """Log-probabilities of a response, computed without any batch or cache. Shape (T, vocabulary)."""
    with torch.inference_mode():
        logits = engine.model(torch.tensor([prompt + response])).logits[0, len(prompt) - 1 : -1]
    return torch.log_softmax(logits / temperature, dim=-1)


@pytest.mark.parametrize("temperature", [0.0, 0.7, 1.0, 1.8])
def test_log_probs_are_the_models_at_the_sampling_temperature(engine: HFEngine, temperature: float) -> None:
    for prompt, response in zip(PROMPTS, engine.generate(PROMPTS, Sampling(12, temperature), seed=5), strict=True):
        assert len(response.log_probs) == len(response.token_ids)
        expected = full_log_probs(engine, prompt, response.token_ids, temperature or 1.0)
        got = torch.tensor(response.log_probs)
        torch.testing.assert_close(
            got, expected.gather(1, torch.tensor([response.token_ids]).T)[:, 0], atol=2e-5, rtol=1e-4
        )


def test_greedy_takes_the_likeliest_token_whatever_shares_the_batch(engine: HFEngine) -> None:
    together = engine.generate(PROMPTS, Sampling(10, 0.0))
    for prompt, response in zip(PROMPTS, together, strict=True):
        assert engine.generate([prompt], Sampling(10, 0.0))[0].token_ids == response.token_ids
        assert full_log_probs(engine, prompt, response.token_ids).argmax(-1).tolist() == response.token_ids


@pytest.mark.parametrize("sampling", [Sampling(8, 1.0, top_k=3), Sampling(8, 1.0, top_p=0.3), Sampling(8, 1.0, 0.9, 5)])
def test_top_k_and_top_p_leave_the_tail_out(engine: HFEngine, sampling: Sampling) -> None:
    prompt = PROMPTS[1]
    for response in engine.generate([prompt] * 16, sampling, seed=1):
        for token, log_probs in zip(
            response.token_ids, full_log_probs(engine, prompt, response.token_ids), strict=True
        ):
            order = log_probs.argsort(descending=True).tolist()
            if sampling.top_k > 0:
                assert token in order[: sampling.top_k]
            before = log_probs.exp()[order[: order.index(token)]].sum()
            assert before < sampling.top_p + 1e-4


def test_sampling_follows_the_models_distribution(engine: HFEngine) -> None:
    prompt, draws = PROMPTS[0], 4000
    first = torch.tensor([r.token_ids[0] for r in engine.generate([prompt] * draws, Sampling(1, 1.0), seed=2)])
    expected = full_log_probs(engine, prompt, [0])[0].exp()
    seen = torch.bincount(first, minlength=len(expected)) / draws
    assert (seen - expected).abs().max() < 4 * (0.25 / draws) ** 0.5


@pytest.mark.parametrize("sampling", [Sampling(12, 1.0), Sampling(12, 0.0), Sampling(12, 1.3, top_p=0.9)])
def test_a_prompt_computed_once_is_answered_as_if_computed_each_time(engine: HFEngine, sampling: Sampling) -> None:
    """In groups, in any order, beside prompts of other lengths and of one token; by the same random numbers."""
    rows = [PROMPTS[i] for i in (0, 0, 1, 2, 1, 0, 2, 2)]
    shared = engine.generate(rows, sampling, seed=11)
    alone = HFEngine(engine.model, engine.eos_token_ids, engine._pad)
    alone._shares_prompts = False
    for one, other in zip(shared, alone.generate(rows, sampling, seed=11), strict=True):
        assert one.token_ids == other.token_ids
        assert one.log_probs == pytest.approx(other.log_probs, abs=2e-5)


def test_a_common_prompt_is_computed_once(engine: HFEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    shapes: list[tuple[int, ...]] = []
    forward = engine.model.forward
    monkeypatch.setattr(
        engine.model,
        "forward",
        lambda input_ids, **rest: shapes.append(tuple(input_ids.shape)) or forward(input_ids, **rest),
    )
    engine.generate([PROMPTS[1]] * 16 + [PROMPTS[0]] * 16, Sampling(3, 0.0))
    assert shapes[0] == (2, len(PROMPTS[1]) - 1)
    assert set(shapes[1:]) == {(32, 1)}


def test_no_token_without_probability_is_drawn(engine: HFEngine) -> None:
    """The draw at its edges: the smallest and the largest random number there is, the tail cut off on both sides."""
    sampler = _Sampler(Sampling(1), [torch.default_generator])
    log_probs = torch.full((2, 6), -torch.inf)
    log_probs[:, 2:4] = torch.tensor([0.25, 0.75]).log()
    for number, token in ((0.0, 3), (1.0 - 2**-53, 2)):
        sampler._uniform = lambda rows, number=number: torch.full((rows, 1), number, dtype=torch.float64)
        assert sampler._draw(torch.zeros(2, 1), log_probs).tolist() == [[token]] * 2


@pytest.mark.parametrize("temperature", [0.0, 1.0])
@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_a_model_that_computes_no_numbers_is_reported(tmp_path: Path, temperature: float, bad: float) -> None:
    build_model(tmp_path, seed=3, hidden_size=32, layers=2)
    broken = TrainedEngine.from_folder(str(tmp_path))
    broken.load_weights({"model.norm.weight": torch.full((32,), bad)})
    with pytest.raises(SeedGrpoError, match="not numbers"):
        broken.generate(PROMPTS, Sampling(4, temperature), seed=0)


def test_a_seed_repeats_and_another_does_not(engine: HFEngine) -> None:
    def sample(seed: int) -> list[list[int]]:
        return [response.token_ids for response in engine.generate(PROMPTS * 4, Sampling(10, 1.0), seed=seed)]

    assert sample(7) == sample(7)
    assert sample(7) != sample(8)


def test_a_response_ends_at_the_end_token_and_keeps_it(engine: HFEngine) -> None:
    responses = engine.generate([PROMPTS[2]] * 64, Sampling(150, 2.0), seed=4)
    end = engine.eos_token_ids
    ended = [response for response in responses if response.token_ids[-1] in end]
    assert ended, "nothing ended: the test shows nothing"
    for response in responses:
        assert not set(response.token_ids[:-1]) & set(end)
        assert response in ended or len(response.token_ids) == 150


def test_more_rows_than_fit_at_once_are_split(engine: HFEngine, tmp_path: Path) -> None:
    small = HFEngine(engine.model, engine.eos_token_ids, engine._pad, max_batch=2)
    whole = engine.generate(PROMPTS, Sampling(6, 0.0))
    assert [r.token_ids for r in small.generate(PROMPTS, Sampling(6, 0.0))] == [r.token_ids for r in whole]


def test_abort_stops_in_mid_response(engine: HFEngine) -> None:
    abort = threading.Event()
    threading.Timer(0.5, abort.set).start()
    start = time.monotonic()
    responses = engine.generate(PROMPTS, Sampling(3500, 1.0), seed=0, abort=abort)
    assert time.monotonic() - start < 20
    assert any(response.aborted for response in responses)
    for response in responses:
        assert len(response.token_ids) == len(response.log_probs) > 0


def test_new_weights_count_from_the_next_call(engine: HFEngine, tmp_path: Path) -> None:
    build_model(tmp_path, seed=9, hidden_size=32, layers=2)
    other = TrainedEngine.from_folder(str(tmp_path))
    fresh = TrainedEngine.from_folder(str(tmp_path))
    fresh.load_weights(dict(engine.model.named_parameters(remove_duplicate=False)))
    assert [r.token_ids for r in fresh.generate(PROMPTS, Sampling(8, 0.0))] == [
        r.token_ids for r in engine.generate(PROMPTS, Sampling(8, 0.0))
    ]
    with pytest.raises(SeedGrpoError, match="does not fit"):
        other.load_weights({"model.norm.weight": torch.zeros(5)})
    with pytest.raises(SeedGrpoError, match="does not fit"):
        other.load_weights({"no.such.weight": torch.zeros(5)})
