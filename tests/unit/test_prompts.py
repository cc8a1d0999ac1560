"""Prepared data and the run agree on how a prompt is written."""

from __future__ import annotations

from pathlib import Path

import pytest
from omegaconf import DictConfig

from seed_grpo.data.prepare import Options, plan, prepare
from seed_grpo.data.templates import get_template
from seed_grpo.errors import UsageError
from seed_grpo.training.compose import compose_config
from seed_grpo.training.prompts import check_prompts

OWN, NONE, PASS = "<{{ messages[0]['content'] }}>", "null", "${pass_through:}"


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The same problems, prepared as text, as messages, and for answers in tags."""
    folder = tmp_path_factory.mktemp("data")
    files = {}
    for name, template, prompt_format, answer_template in (
        ("text", "qwen_math", "text", None),
        ("messages", "qwen_math", "messages", None),
        ("tags", "r1", "text", None),
        ("lines", "none", "text", "answer_line"),
    ):
        options = Options(get_template(template), prompt_format, answer_template=answer_template)
        files[name] = str(prepare(plan(["arithmetic"], [], split="test"), folder / name, options)[0].path)
    return files


def config_with(model: Path, template: str) -> DictConfig:
    (model / "chat_template.jinja").write_text(OWN, encoding="utf-8")
    return compose_config(
        [f"actor_rollout_ref.model.path={model}", f"actor_rollout_ref.model.custom_chat_template={template}"]
    )


@pytest.mark.parametrize(("stored", "template"), [("text", PASS), ("messages", NONE)])
def test_what_fits_is_taken(data: dict[str, str], stored: str, template: str, tmp_path: Path) -> None:
    check_prompts(config_with(tmp_path, template), [data[stored], str(tmp_path / "without_manifest.parquet")])


@pytest.mark.parametrize(
    ("stored", "template", "words"),
    [
        ("text", NONE, "whole prompts .*qwen_math"),
        ("messages", PASS, "no chat template"),
        ("tags", PASS, r"seed_grpo\.answer_template=answer_tag"),
        ("lines", PASS, r"seed_grpo\.answer_template=answer_line"),
    ],
)
def test_what_does_not_is_an_error(
    data: dict[str, str], stored: str, template: str, words: str, tmp_path: Path
) -> None:
    with pytest.raises(UsageError, match=words):
        check_prompts(config_with(tmp_path, template), [data[stored]])


@pytest.mark.parametrize("stored", ["text", "tags", "lines"])
def test_auto_reads_every_form_that_a_prompt_asks_for(data: dict[str, str], stored: str, tmp_path: Path) -> None:
    config = config_with(tmp_path, PASS)
    config.seed_grpo.answer_template = "auto"
    check_prompts(config, [data[stored]])
    config.seed_grpo.answer_template = "gsm8k"
    with pytest.raises(UsageError, match="in the form"):
        check_prompts(config, [data[stored]])


def test_a_model_that_passes_prompts_through_by_itself(data: dict[str, str], tmp_path: Path) -> None:
    from seed_grpo.data.templates import PASS_THROUGH

    config = config_with(tmp_path, NONE)
    (tmp_path / "chat_template.jinja").write_text(PASS_THROUGH, encoding="utf-8")
    check_prompts(config, [data["text"]])
    with pytest.raises(UsageError, match="no chat template"):
        check_prompts(config, [data["messages"]])
