"""From a run's checkpoint to a folder that transformers loads, and its model card."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import yaml

from seed_grpo.checkpoints import seal
from seed_grpo.errors import SeedGrpoError, UsageError
from seed_grpo.export import export
from seed_grpo.model_card import cell, table

ROOT = Path(__file__).resolve().parents[1]
PROBLEM = "12+34="


def test_nothing_breaks_out_of_a_cell() -> None:
    text = table(("a",), [("x | y\n\n# title <script> `code`\\",)])
    assert text.splitlines() == ["| a |", "| --- |", "| x \\| y # title &lt;script> 'code'\\\\ |"]
    assert "\n" not in cell("a\nb")


def test_what_is_no_run_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no folder"):
        export(tmp_path / "nowhere", tmp_path / "out")
    with pytest.raises(UsageError, match="no checkpoint"):
        export(tmp_path, tmp_path / "out")
    (tmp_path / "global_step_3").mkdir()
    with pytest.raises(UsageError, match=r"no checkpoint of step 4.*3"):
        export(tmp_path, tmp_path / "out", step=4)
    with pytest.raises(SeedGrpoError, match="whole"):
        export(tmp_path, tmp_path / "out")
    with pytest.raises(UsageError, match="step 3, not 4"):
        export(tmp_path / "global_step_3", tmp_path / "out", step=4)
    assert not (tmp_path / "out").exists()


@pytest.fixture(scope="module", params=[1, 2], ids=["1 rank", "2 ranks"])
def run(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run of two steps with a checkpoint after each, whose tokenizer passes messages through."""
    from seed_grpo.data.arithmetic import write_parquet
    from seed_grpo.quickstart.model import build_model

    ranks, folder = request.param, tmp_path_factory.mktemp("run")
    build_model(folder / "base" / "model", hidden_size=32, layers=1)
    for split in ("train", "test"):
        write_parquet(folder / "base" / "data" / f"arithmetic_{split}.parquet", split)
    template = folder / "base" / "model" / "chat_template.jinja"
    template.write_text("{% for m in messages %}<{{ m['content'] }}>{% endfor %}", encoding="utf-8")
    subprocess.run(
        [sys.executable, "-m", "seed_grpo.cli", "train", "experiment=quickstart", "platform=cpu",
         f"quickstart_dir={folder / 'base'}", f"trainer.default_local_dir={folder / 'run'}",
         f"trainer.n_gpus_per_node={ranks}", "trainer.total_training_steps=2", "trainer.save_freq=1",
         "trainer.test_freq=-1", "trainer.val_before_train=false", "data.train_batch_size=8",
         "actor_rollout_ref.actor.ppo_mini_batch_size=8",
         # An untrained model solves nothing: without these two its weights would stay as they are.
         "actor_rollout_ref.actor.entropy_coeff=0.1", "actor_rollout_ref.actor.optim.lr=0.01",
         "actor_rollout_ref.model.custom_chat_template=${pass_through:}"],
        check=True, timeout=400, capture_output=True, cwd=folder,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])},
    )  # fmt: skip
    return folder / "run"


@pytest.mark.e2e
@pytest.mark.slow
def test_a_run_becomes_a_model_that_loads(run: Path, tmp_path: Path) -> None:
    from transformers import AutoModelForCausalLM, AutoTokenizer

    exported = export(run, tmp_path / "model")
    assert (exported.step, exported.notes) == (2, [])

    # The weights are the checkpoint's: verl saved the whole model beside the shards on this platform.
    saved = AutoModelForCausalLM.from_pretrained(run / "global_step_2" / "actor" / "huggingface", dtype=torch.float32)
    model = AutoModelForCausalLM.from_pretrained(tmp_path / "model", dtype=torch.float32)
    assert model.state_dict().keys() == saved.state_dict().keys()
    for name, weight in saved.state_dict().items():
        torch.testing.assert_close(model.state_dict()[name], weight.bfloat16().float(), rtol=0, atol=0)
    base = AutoModelForCausalLM.from_pretrained(run.parent / "base" / "model", dtype=torch.float32)
    assert any((model.state_dict()[name] != weight.bfloat16()).any() for name, weight in base.state_dict().items())

    # A served model needs its own chat template, not the one that passes prompts through.
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "model")
    messages = [{"role": "user", "content": PROBLEM}]
    assert tokenizer.apply_chat_template(messages, tokenize=False) == f"<{PROBLEM}>"
    inputs = tokenizer(PROBLEM, return_tensors="pt")
    generated = model.generate(**inputs, max_new_tokens=4, do_sample=False)
    assert generated.shape[1] > inputs["input_ids"].shape[1]

    # The card: settings, data, numbers, versions.
    card = (tmp_path / "model" / "README.md").read_text(encoding="utf-8")
    front = yaml.safe_load(card.split("---")[1])
    assert front["library_name"] == "transformers"
    config = yaml.safe_load((run / "config.yaml").read_text(encoding="utf-8"))
    for name, value in config["seed_grpo"].items():
        assert f"| {name} | {value} |" in card
    assert "arithmetic_train.parquet" in card
    assert "| seed_grpo/weight |" in card
    assert "| verl | 0.9.1 |" in card
    assert f"| commit | {json.loads((run / 'summary.json').read_text())['commit'] or 'unknown'} |" in card
    assert str(run.parent) not in card  # no path of this machine

    # An earlier step, by its folder; into a folder that is there already, not.
    assert export(run / "global_step_1", tmp_path / "first").step == 1
    with pytest.raises(UsageError, match="already"):
        export(run, tmp_path / "model")


@pytest.mark.e2e
@pytest.mark.slow
def test_a_truncated_checkpoint_is_not_taken(run: Path, tmp_path: Path) -> None:
    broken = tmp_path / "run"
    shutil.copytree(run, broken)
    shard = next((broken / "global_step_2" / "actor").glob("model_*.pt"))
    shard.write_bytes(shard.read_bytes()[:-100])
    assert (broken / "latest_checkpointed_iteration.txt").read_text().strip() == "2"
    with pytest.raises(SeedGrpoError, match="step 2 is not whole"):
        export(broken, tmp_path / "model", step=2)
    assert export(broken, tmp_path / "model").step == 1
    # Whole by its list, and no checkpoint all the same: verl's complaint is passed on, and nothing is left behind.
    seal(broken / "global_step_2")
    with pytest.raises(SeedGrpoError, match="could not merge"):
        export(broken, tmp_path / "other", step=2)
    assert [path.name for path in tmp_path.iterdir() if "other" in path.name] == []
