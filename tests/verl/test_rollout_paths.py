"""Both rollout paths give the same: what verl's agent loop leaves in TransferQueue, our group path leaves there too."""

from __future__ import annotations

import ast
import importlib.util
import json
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from omegaconf import OmegaConf
from runs import ROOT, RUN_SECONDS, SYNC_RUN, Run, Scratch, tiny_run, train

from seed_grpo.errors import UsageError

pytestmark = pytest.mark.e2e

N = 6
NUMBERS = {"rollout_log_probs", "old_log_probs", "advantages", "returns"}
OURS = ("group", "client")


@pytest.fixture(scope="module")
def rows(quickstart_base: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What each path left for the same prompts, and what was asked of the server (see rollout_paths.py)."""
    from seed_grpo.training.compose import compose_config

    run = tmp_path_factory.mktemp("paths")
    config = compose_config(
        tiny_run(
            quickstart_base, run, f"actor_rollout_ref.rollout.n={N}", "seed_grpo.alpha=0.5",
            f"actor_rollout_ref.rollout.max_num_seqs={2 * N}",  # the group path takes three shares
            "actor_rollout_ref.rollout.full_determinism=true", "actor_rollout_ref.rollout.val_kwargs.n=1",
            "reward.num_workers=1",  # verl's path asks them
        )
    )  # fmt: skip
    OmegaConf.save(config, run / "config.yaml", resolve=True)
    scratch = Scratch()
    done = subprocess.run(
        [sys.executable, str(ROOT / "tests" / "rollout_paths.py"), str(run / "config.yaml"), str(scratch.folder)],
        capture_output=True, text=True, timeout=RUN_SECONDS, env=scratch.environment,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-4000:]
    found = json.loads((scratch.folder / "rows.json").read_text(encoding="utf-8"))
    scratch.check_ends()  # Ray ends its actors after its driver
    return found


@pytest.mark.parametrize("ours", OURS)
def test_greedy_responses_row_by_row(rows: dict[str, Any], ours: str) -> None:
    theirs, mine = (by_key(rows["greedy"][path]) for path in ("verl", ours))
    assert list(theirs) == list(mine)
    assert len(theirs) == 6 * N
    for key, row in theirs.items():
        check_same(row, mine[key])


@pytest.mark.parametrize("ours", OURS)
def test_sampled_responses_group_by_group(rows: dict[str, Any], ours: str) -> None:
    """Sessions of a group are interchangeable: which request reaches the server first is chance."""
    theirs, mine = (by_response(rows["sampled"][path]) for path in ("verl", ours))
    assert sorted(row["key"] for row in theirs) == sorted(row["key"] for row in mine)
    for row, other in zip(theirs, mine, strict=True):
        check_same(row, other, but={"session_id"})
    responses = {(row["fields"]["uid"], str(row["fields"]["responses"]["values"])) for row in theirs}
    assert len(responses) > 6, "nothing was sampled"
    assert any(row["fields"]["advantages"]["values"][0] != 0 for row in theirs), "no group is mixed"
    assert {row["fields"]["rm_scores"]["values"][-1] for row in theirs} == {0.0, 1.0}


@pytest.mark.parametrize("ours", OURS)
def test_validation_with_a_number_of_responses_of_its_own(rows: dict[str, Any], ours: str) -> None:
    theirs, mine = (by_key(rows["validation"][path]) for path in ("verl", ours))
    assert list(theirs) == list(mine)
    assert len(theirs) == 6 * 2
    for key, row in theirs.items():
        check_same(row, mine[key])


@pytest.mark.parametrize("ours", OURS)
def test_a_prompt_that_cannot_be_graded_costs_itself_alone(rows: dict[str, Any], ours: str) -> None:
    theirs, mine = (rows["one without a gold answer"][path] for path in ("verl", ours))
    assert sorted(row["key"] for row in theirs) == sorted(row["key"] for row in mine)
    assert len(theirs) == 5 * N


def test_servers_are_asked_alike(rows: dict[str, Any]) -> None:
    """The arguments of verl's client and, behind it, of the server; whole groups go through the same client."""
    theirs, mine = (Counter(map(canonical, rows["calls"][path])) for path in ("verl", "client"))
    assert theirs == mine
    assert sum(theirs.values()) == (6 * N) * 3 + 6 * 2
    assert rows["calls"]["group"] == []
    for call in rows["calls"]["client"]:
        assert {"priority"} <= call["arguments"].keys()
        assert call["arguments"]["sampling_params"].keys() == {
            "temperature", "top_p", "top_k", "repetition_penalty", "logprobs", "seed",
        }  # fmt: skip
    for call in rows["calls"]["verl"]:  # which is the first depends on the machine
        assert call["request_id"] == f"det-{call['arguments']['priority']}", "verl names requests by their priority"


def test_each_response_of_a_group_has_a_seed_of_its_own(rows: dict[str, Any]) -> None:
    """With full determinism verl gives an engine one seed, by which the responses of a group would be copies."""
    seeds_of: dict[str, list[int]] = {}
    for call in rows["calls"]["client"]:
        arguments = call["arguments"]
        seed = arguments["sampling_params"]["seed"]
        assert arguments["request_id"] == f"det-{seed}"
        seeds_of.setdefault(str(arguments["prompt_ids"]), []).append(seed)
    assert all(len(set(seeds)) == N for seeds in seeds_of.values())


def test_vllms_server_takes_what_is_sent(rows: dict[str, Any]) -> None:
    """Its `generate` has no catch-all: every argument must be one of its own. Read from source; vLLM needs a GPU."""
    verl = importlib.util.find_spec("verl")
    assert verl is not None
    assert verl.origin is not None
    source = Path(verl.origin).with_name("workers") / "rollout" / "vllm_rollout" / "vllm_async_server.py"
    generate = next(
        node
        for node in ast.walk(ast.parse(source.read_text(encoding="utf-8")))
        if isinstance(node, ast.AsyncFunctionDef) and node.name == "generate"
    )
    assert generate.args.kwarg is None
    known = {argument.arg for argument in (*generate.args.args, *generate.args.kwonlyargs)}
    for call in rows["calls"]["client"]:
        assert call["arguments"].keys() <= known


def test_verls_path_trains_with_the_same_metrics(sync_run: Run, quickstart_base: Path, tmp_path: Path) -> None:
    """The one setting that the documentation names, through a whole run."""
    folder = tmp_path / "run"
    run = train(
        folder,
        tiny_run(
            quickstart_base, folder, "actor_rollout_ref.rollout.agent.agent_loop_manager_class=null",
            *SYNC_RUN, "trainer.total_training_steps=2", "trainer.save_freq=2",
        ),
    )  # fmt: skip
    assert run.status == 0, run.output + run.log[-3000:]
    theirs, ours = run.lines("metrics.jsonl"), sync_run.lines("metrics.jsonl")
    assert [record["step"] for record in theirs] == [0, 1, 2]
    assert [record["step"] for record in ours] == [0, 1, 2, 3, 4, 5, 6]
    ours = [*ours[:2], ours[-1]]  # the last one is validated, too
    for record, other in zip(theirs, ours, strict=True):
        # Both are there only where they can be computed: where some, or not all, groups are mixed.
        optional = {"seed_grpo/entropy_mixed", "seed_grpo/weight_mixed", "seed_grpo/weight_mixed_spread",
                    "seed_grpo/entropy_accuracy_correlation"}  # fmt: skip
        assert (record.keys() ^ other.keys()) <= optional
    assert theirs[0]["val/accuracy"] == ours[0]["val/accuracy"], "greedy, with the same weights"
    asked = [
        [record["prompt"] for record in each.lines("prompts.jsonl") if record["step"] <= 2] for each in (run, sync_run)
    ]
    assert sorted(asked[0]) == sorted(asked[1]), "another order of prompts"


@pytest.mark.parametrize(
    "setting",
    [
        "actor_rollout_ref.rollout.multi_turn.enable=true",
        "actor_rollout_ref.rollout.enable_rollout_routing_replay=true",
        "actor_rollout_ref.rollout.trace.backend=mlflow",
        "actor_rollout_ref.rollout.agent.default_agent_loop=tool_agent",
    ],
)
def test_what_needs_verls_path_is_refused(setting: str) -> None:
    from seed_grpo.training.compose import compose_config
    from seed_grpo.verl_plugin.group_rollout import check_supported

    with pytest.raises(UsageError, match="agent_loop_manager_class=null"):
        check_supported(compose_config([setting]))


def by_key(found: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    return {row["key"]: row for row in sorted(found, key=lambda row: row["key"])}


def by_response(found: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return sorted(found, key=lambda row: (row["fields"]["uid"], row["fields"]["responses"]["values"]))


def check_same(theirs: dict[str, Any], ours: dict[str, Any], but: set[str] = frozenset()) -> None:  # type: ignore[assignment]
    """The same tag and fields: equal, numbers to rounding (what shares a batch changes the last digit), times aside."""
    assert theirs["tag"] == ours["tag"]
    assert theirs["fields"].keys() == ours["fields"].keys()
    for name in theirs["fields"].keys() - but:
        a, b = theirs["fields"][name], ours["fields"][name]
        if name == "metrics":
            assert a.keys() == b.keys()
        elif name == "extra_fields":
            # The hf server's reports about one request; it has none about a batch.
            assert {**a, "num_cached_tokens": None} == {**b, "num_cached_tokens": None}
        elif name in NUMBERS:
            assert (a["dtype"], a["shape"]) == (b["dtype"], b["shape"])
            assert a["values"] == pytest.approx(b["values"], abs=1e-5)
        else:
            assert a == b, name


def canonical(call: dict[str, Any]) -> str:
    """A call without what says nothing, which is arguments that are None or empty, and without its name and seed."""
    told = {
        part: {
            name: {key: item for key, item in value.items() if key != "seed"} if name == "sampling_params" else value
            for name, value in call[part].items()
            if value not in (None, {}, []) and name != "request_id"
        }
        for part in ("routing", "arguments")
    }
    return json.dumps(told, sort_keys=True)
