"""Mistakes are one line with the cause and the remedy, before anything starts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from seed_grpo.cli import main
from seed_grpo.quickstart.data import write_data
from seed_grpo.quickstart.model import build_model


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("base")
    build_model(folder / "model", hidden_size=16, layers=1)
    write_data(folder / "data")
    return folder


def row(**changes: Any) -> dict[str, Any]:
    good = {
        "data_source": "arithmetic",
        "prompt": [{"role": "user", "content": "1+1="}],
        "ability": "math",
        "reward_model": {"style": "rule", "ground_truth": ["2"]},
        "extra_info": {"index": 0},
    }
    return {**good, **changes}


def without(*columns: str) -> list[dict[str, Any]]:
    return [{name: value for name, value in row().items() if name not in columns}] * 64


def train(arguments: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture) -> tuple[int, str]:
    monkeypatch.setattr("sys.argv", ["seed-grpo", "train", *arguments])
    with pytest.raises(SystemExit) as ended:
        main()
    return int(ended.value.code or 0), capsys.readouterr().err.strip()


@pytest.mark.parametrize(
    ("overrides", "status", "words"),
    [
        (["seed_grpo.alpha=1.5"], 2, "alpha is 1.5"),
        (["seed_grpo.alpha=-0.1"], 2, "alpha is -0.1"),
        (["seed_grpo.alpha=nan"], 2, "alpha is nan"),
        (["seed_grpo.alpha=high"], 2, "alpha is 'high'"),
        (["seed_grpo.form=cubic"], 2, "linear, exponential, focal, reciprocal"),
        (["seed_grpo.estimator=shannon"], 2, "rao_blackwell"),
        (["seed_grpo.mass=counts"], 2, "likelihood"),
        (["seed_grpo.cluster_level=fuzzy"], 2, "symbolic"),
        (["seed_grpo.no_answer=ignore"], 2, "singleton"),
        (["+seed_grpo.alhpa=0.1"], 2, "did you mean alpha?"),
        (["seed_grpo.alhpa=0.1"], 2, "alhpa"),
        (["seed_grpo.cluster_level=symbolic", "seed_grpo.grade_level=exact"], 2, "half rewarded"),
        (["actor_rollout_ref.rollout.n=1"], 2, "rollout.n is 1"),
        (["trainer.v1.trainer_mode=sync"], 2, "seed_grpo_sync"),
        (["baseline=no_such"], 2, "no_such"),
        (["actor_rollout_ref.model.path={tmp}/nothing"], 1, "nothing is not a model"),
        (["actor_rollout_ref.model.path={base}/data"], 1, "config.json"),
        (["data.train_files={tmp}/nothing.parquet"], 1, "nothing.parquet does not exist"),
        (["data.train_files={base}/data"], 1, "is a folder"),
        (["data.train_batch_size=100000"], 2, "fewer than data.train_batch_size"),
        (["ray_kwargs.ray_init.num_cpus=3"], 2, "logical CPUs"),
        (["trainer.default_local_dir={tmp}/file"], 2, "is a file"),
        (["trainer.default_local_dir={tmp}/foreign"], 2, "another run"),
    ],
)
def test_one_line_with_cause_and_remedy(
    overrides: list[str], status: int, words: str, base: Path, tmp_path: Path, monkeypatch, capsys
) -> None:
    (tmp_path / "file").write_text("not a folder")
    (tmp_path / "foreign" / "global_step_5").mkdir(parents=True)
    filled = [override.format(tmp=tmp_path, base=base) for override in overrides]
    folder = [] if "default_local_dir" in filled[0] else [f"trainer.default_local_dir={tmp_path}/run"]
    got, error = train([f"quickstart_dir={base}", *folder, *filled], monkeypatch, capsys)
    assert got == status, error
    assert words in error
    assert "\n" not in error
    assert "Traceback" not in error
    assert "Remedy: " in error


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        ([], "has no"),
        (without("prompt"), "no column 'prompt'"),
        (without("reward_model"), "no column 'reward_model'"),
        ([row()] * 40 + [row(reward_model={"style": "rule", "ground_truth": []})], "row 40"),
        ([row()] * 3 + [row(reward_model={"style": "rule", "ground_truth": [" "]})] * 40, "row 3"),
        ([row(prompt=[])] + [row()] * 40, "row 0"),
    ],
)
def test_a_data_file_that_cannot_be_used_is_named(
    rows: list[dict[str, Any]], words: str, base: Path, tmp_path: Path, monkeypatch, capsys
) -> None:
    path = tmp_path / "odd.parquet"
    pd.DataFrame(rows, columns=list(rows[0]) if rows else ["prompt", "data_source", "reward_model"]).to_parquet(path)
    overrides = [f"quickstart_dir={base}", f"data.train_files={path}", f"trainer.default_local_dir={tmp_path}/run"]
    status, error = train(overrides, monkeypatch, capsys)
    assert status == 1
    assert str(path) in error
    assert words in error
    assert "\n" not in error


@pytest.mark.parametrize("content", [b"", b"PAR1", b"problem,answer\n1+1,2\n", bytes(range(256)) * 40])
def test_a_file_that_is_no_parquet_is_named(content: bytes, base: Path, tmp_path: Path, monkeypatch, capsys) -> None:
    path = tmp_path / "odd.parquet"
    path.write_bytes(content)
    status, error = train([f"quickstart_dir={base}", f"data.val_files={path}"], monkeypatch, capsys)
    assert status == 1
    assert "is not a parquet file" in error


@pytest.mark.e2e
def test_a_plugin_that_verl_did_not_load_is_noticed(base: Path, tmp_path: Path, monkeypatch, capsys) -> None:
    monkeypatch.setenv("VERL_USE_EXTERNAL_PLUGINS", "none")
    status, error = train([f"quickstart_dir={base}", f"trainer.default_local_dir={tmp_path}/run"], monkeypatch, capsys)
    assert status == 1
    assert "did not load the seed-grpo plugin" in error
    assert "Traceback" not in error
