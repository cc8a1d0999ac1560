"""From a run's checkpoint to a folder that transformers loads, and its model card."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch
import yaml
from runs import Run

from seed_grpo.errors import SeedGrpoError, UsageError
from seed_grpo.export.checkpoint import export, restore_chat_template
from seed_grpo.export.model_card import cell, table
from seed_grpo.runs.checkpoints import seal


def test_nothing_breaks_out_of_a_cell() -> None:
    text = table(("a",), [("x | y\n\n# title <script> `code`\\",)])
    assert text.splitlines() == ["| a |", "| --- |", "| x \\| y # title &lt;script> 'code'\\\\ |"]
    assert "\n" not in cell("a\nb")


def test_what_is_no_run_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="not a folder"):
        export(tmp_path / "nowhere", tmp_path / "out")
    with pytest.raises(UsageError, match="no checkpoint"):
        export(tmp_path, tmp_path / "out")
    (tmp_path / "global_step_3").mkdir()
    with pytest.raises(UsageError, match=r"no checkpoint of step 4.*3"):
        export(tmp_path, tmp_path / "out", step=4)
    with pytest.raises(SeedGrpoError, match="complete"):
        export(tmp_path, tmp_path / "out")
    with pytest.raises(UsageError, match="step 3, not 4"):
        export(tmp_path / "global_step_3", tmp_path / "out", step=4)
    assert not (tmp_path / "out").exists()


def test_a_served_model_gets_its_own_chat_template_back(tmp_path: Path) -> None:
    from transformers import AutoTokenizer

    from seed_grpo.data.templates import PASS_THROUGH
    from seed_grpo.quickstart.model import build_tokenizer

    tokenizer = build_tokenizer()
    for folder, template in (("base", "<{{ messages[0]['content'] }}>"), ("plain", None), ("out", PASS_THROUGH)):
        tokenizer.chat_template = template
        tokenizer.save_pretrained(tmp_path / folder)

    def template_after(model: dict) -> tuple[str, list[str]]:
        notes = restore_chat_template(tmp_path / "out", model)
        return AutoTokenizer.from_pretrained(tmp_path / "out").chat_template, notes

    plain, nowhere = str(tmp_path / "plain"), str(tmp_path / "nowhere")
    assert template_after({"path": str(tmp_path / "base"), "custom_chat_template": None}) == (PASS_THROUGH, [])
    for path in (plain, nowhere):
        template, notes = template_after({"path": path, "custom_chat_template": PASS_THROUGH})
        assert template == PASS_THROUGH
        assert path in notes[0]
    base = {"path": str(tmp_path / "base"), "custom_chat_template": PASS_THROUGH}
    assert template_after(base) == ("<{{ messages[0]['content'] }}>", [])


@pytest.mark.e2e
@pytest.mark.slow
def test_a_run_becomes_a_model_that_loads(sync_run: Run, tmp_path: Path) -> None:
    check_the_model_of(sync_run.folder, 6, tmp_path)


@pytest.mark.e2e
@pytest.mark.slow
def test_a_run_on_two_ranks_becomes_a_model_that_loads(two_rank_run: Run, tmp_path: Path) -> None:
    check_the_model_of(two_rank_run.folder, 2, tmp_path)


def check_the_model_of(run: Path, last: int, tmp_path: Path) -> None:
    """Export a run's last checkpoint, and look at the model and its card."""
    from transformers import AutoModelForCausalLM, AutoTokenizer

    exported = export(run, tmp_path / "model")
    assert (exported.step, exported.notes) == (last, [])

    # The weights are the checkpoint's: on the CPU, verl saves the whole model beside the shards.
    def weights(folder: Path) -> dict[str, torch.Tensor]:
        return AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).state_dict()

    model, saved = weights(tmp_path / "model"), weights(run / f"global_step_{last}" / "actor" / "huggingface")
    assert model.keys() == saved.keys()
    for name, weight in saved.items():
        torch.testing.assert_close(model[name], weight.bfloat16().float(), rtol=0, atol=0)

    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "model")
    inputs = tokenizer("12+34=", return_tensors="pt")
    generator = AutoModelForCausalLM.from_pretrained(tmp_path / "model")
    generated = generator.generate(**inputs, max_new_tokens=4, do_sample=False)
    assert generated.shape[1] > inputs["input_ids"].shape[1]

    # The card: settings, data, numbers, versions.
    card = (tmp_path / "model" / "README.md").read_text(encoding="utf-8")
    assert yaml.safe_load(card.split("---")[1])["library_name"] == "transformers"
    config = yaml.safe_load((run / "config.yaml").read_text(encoding="utf-8"))
    for name, value in config["seed_grpo"].items():
        assert f"| {name} | {value} |" in card
    assert "arithmetic_train.parquet" in card
    assert "| seed_grpo/weight |" in card
    assert "| verl | 0.9.1 |" in card
    assert f"| commit | {json.loads((run / 'summary.json').read_text())['commit'] or 'unknown'} |" in card
    assert str(run.parent) not in card  # no path of this machine
    with pytest.raises(UsageError, match="already"):
        export(run, tmp_path / "model")


@pytest.mark.e2e
@pytest.mark.slow
def test_a_truncated_checkpoint_is_not_taken(two_rank_run: Run, tmp_path: Path) -> None:
    broken = tmp_path / "run"
    shutil.copytree(two_rank_run.folder, broken)
    shard = next((broken / "global_step_2" / "actor").glob("model_*.pt"))
    shard.write_bytes(shard.read_bytes()[:-100])
    assert (broken / "latest_checkpointed_iteration.txt").read_text().strip() == "2"
    with pytest.raises(SeedGrpoError, match="step 2 is incomplete"):
        export(broken, tmp_path / "model", step=2)
    assert export(broken, tmp_path / "model").step == 1  # the newest whole one
    # Whole by its list, and no checkpoint all the same: verl's complaint is passed on, and nothing is left behind.
    seal(broken / "global_step_2")
    with pytest.raises(SeedGrpoError, match="could not merge"):
        export(broken, tmp_path / "other", step=2)
    assert [path.name for path in tmp_path.iterdir() if "other" in path.name] == []
