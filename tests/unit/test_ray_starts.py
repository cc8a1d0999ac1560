"""A Ray that does not come up is started again; anything else that goes wrong is not."""

from __future__ import annotations

from pathlib import Path

import pytest

from seed_grpo.training import ray_node
from seed_grpo.training.environment import NOT_UP, STARTS
from seed_grpo.training.own_ray import start_again


class Starts:
    """Fails as often as it is told to, and counts."""

    def __init__(self, failures: int, error: Exception) -> None:
        self.failures, self.error = failures, error
        self.tries = self.cleaned = 0

    def start(self) -> None:
        self.tries += 1
        if self.tries <= self.failures:
            raise self.error

    def clean_up(self) -> None:
        self.cleaned += 1


@pytest.mark.parametrize("failures", range(STARTS))
def test_it_is_started_again(failures: int) -> None:
    starts = Starts(failures, Exception(f"{NOT_UP}. This could happen because ..."))
    start_again(starts.start, starts.clean_up)
    assert (starts.tries, starts.cleaned) == (failures + 1, failures)


def test_not_for_ever() -> None:
    starts = Starts(STARTS, Exception(NOT_UP))
    with pytest.raises(Exception, match=NOT_UP):
        start_again(starts.start, starts.clean_up)
    assert starts.tries == STARTS


def test_another_error_is_final() -> None:
    starts = Starts(1, ValueError("num_cpus"))
    with pytest.raises(ValueError, match="num_cpus"):
        start_again(starts.start, starts.clean_up)
    assert starts.tries == 1


def test_the_words_are_those_of_ray() -> None:
    ray = pytest.importorskip("ray", reason="needs the extra `train`")
    source = (Path(ray.__file__).parent / "_private" / "node.py").read_text(encoding="utf-8")
    assert NOT_UP in source.replace('"\n                        "', "")


@pytest.mark.parametrize("given_out", ["32768\t60999\n", "1024 65535", "nonsense", None])
def test_a_port_for_ray_is_none_that_the_system_gives_out(
    given_out: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ray's head asks for any port a moment later: it must not get the one that another part of it was promised."""
    ports = tmp_path / "ip_local_port_range"
    if given_out is not None:
        ports.write_text(given_out)
    monkeypatch.setattr(ray_node, "EPHEMERAL_PORTS", ports)
    chosen = {ray_node.free_port() for _ in range(5)}
    assert len(chosen) > 1
    assert all(ray_node.LOWEST_PORT <= port < 65536 for port in chosen)
    if given_out != "1024 65535":  # there, no other is left
        assert not chosen & set(ray_node._given_out())
