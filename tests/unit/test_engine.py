"""What is checked of vLLM before it starts, and the seeds of its requests."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from seed_grpo.engines.vllm import check_engine, check_head_size
from seed_grpo.errors import UsageError
from seed_grpo.training.compose import compose_config
from seed_grpo.verl_plugin.request_seeds import request_seed


def test_a_model_whose_heads_vllm_cannot_compute(tmp_path: Path) -> None:
    sizes = {"hidden_size": 64, "num_attention_heads": 4}
    (tmp_path / "config.json").write_text(json.dumps(sizes))
    with pytest.raises(UsageError, match="heads of 16 numbers"):
        check_head_size(str(tmp_path))
    (tmp_path / "config.json").write_text(json.dumps({**sizes, "head_dim": 32}))
    check_head_size(str(tmp_path))
    check_head_size("owner/name")


@pytest.mark.parametrize("platform", ["gpu", "cpu_vllm"])
def test_full_determinism_on_verls_path_is_refused(platform: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("seed_grpo.engines.vllm.require_vllm", lambda: None)
    chosen = [f"platform={platform}", "actor_rollout_ref.rollout.full_determinism=true"]
    with pytest.raises(UsageError, match="copies of one another"):
        check_engine(compose_config([*chosen, "actor_rollout_ref.rollout.agent.agent_loop_manager_class=null"]))
    if platform == "gpu":
        check_engine(compose_config(chosen))
    else:
        with pytest.raises(UsageError, match="GPUs only"):
            check_engine(compose_config(chosen))


def test_each_response_of_each_group_has_a_seed_of_its_own() -> None:
    seeds = {
        request_seed(run, step, prompt, session)
        for run in (1, 2)
        for step in (1, 2)
        for prompt in ([1, 23], [12, 3])
        for session in range(8)
    }
    assert len(seeds) == 2 * 2 * 2 * 8
    assert request_seed(1, 2, [3], 4) == 474645346
    assert all(0 <= seed < 1 << 31 for seed in seeds)


@pytest.mark.parametrize("servers", [1, 2])
@pytest.mark.parametrize("prompts", [1, 7, 32, 128])
@pytest.mark.parametrize("name", ["hf", "vllm"])
def test_a_batch_is_shared_out_whole_and_in_order(name: str, prompts: int, servers: int) -> None:
    from omegaconf import OmegaConf

    from seed_grpo.verl_plugin.batch_servers import SHARES, shares_of

    rollout = OmegaConf.create({"name": name, "max_num_seqs": 128})
    shares = shares_of(list(range(prompts)), 8, servers, rollout)
    assert [row for share in shares for row in share] == list(range(prompts))
    if name == "hf":
        assert all(8 * len(share) <= 128 for share in shares)
    else:
        assert len(shares) <= servers * SHARES
        assert len(shares) == min(prompts, servers * SHARES) or prompts % (servers * SHARES)
