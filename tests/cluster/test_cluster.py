"""What a run needs of a Ray cluster that is there already."""

from __future__ import annotations

import pytest

from seed_grpo.errors import UsageError
from seed_grpo.training.cluster import check_cluster
from seed_grpo.training.compose import compose_config


@pytest.fixture(scope="module")
def config():
    return compose_config(["experiment=qwen2.5_math_7b", "platform=cluster", "trainer.nnodes=2"])


def node(gpus: int, cpus: int, alive: bool = True) -> dict:
    return {"Alive": alive, "Resources": {"GPU": float(gpus), "CPU": float(cpus)} if gpus else {"CPU": float(cpus)}}


def test_enough_is_enough(config) -> None:
    check_cluster(config, [node(8, 40), node(8, 40), node(0, 4)])


@pytest.mark.parametrize(
    "nodes",
    [
        [],
        [node(8, 40)],
        [node(8, 40), node(8, 40, alive=False)],
        [node(8, 40), node(4, 40)],
        [node(8, 40), node(0, 40)],
        [node(8, 40), node(8, 16)],
    ],
    ids=["none", "too few", "one is dead", "too few GPUs", "no GPUs", "too few CPUs for the ranks"],
)
def test_what_is_missing_is_named(config, nodes: list[dict]) -> None:
    with pytest.raises(UsageError, match=r"2 node.* with 8 GPUs and 24 CPUs each"):
        check_cluster(config, nodes)


def test_too_few_cpus_in_all(config) -> None:
    with pytest.raises(UsageError, match=r"57 CPUs in all.* has 48"):
        check_cluster(config, [node(8, 24), node(8, 24)])
