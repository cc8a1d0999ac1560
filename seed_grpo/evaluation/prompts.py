"""The prompts of an evaluation, rendered by the function that training uses."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from seed_grpo.data.templates import PASS_THROUGH
from seed_grpo.engines.prompts import prompt_ids, prompt_text
from seed_grpo.errors import SeedGrpoError
from seed_grpo.evaluation.backends import Prompt
from seed_grpo.evaluation.problems import Benchmark, Problem


class PromptWriter:
    """Renders problems, each once.

    Args:
        tokenizer: the model's; None if only a server knows it.
        options: further variables of the model's chat template.
    """

    def __init__(self, tokenizer: Any | None, options: Mapping[str, Any]) -> None:
        self.tokenizer = tokenizer
        self._options = options
        self._written: dict[tuple[str, str], Prompt] = {}

    def write(self, benchmark: Benchmark, problem: Problem) -> Prompt:
        """The prompt of a problem.

        Raises:
            SeedGrpoError: it needs a tokenizer and there is none, or the chat template refuses it.
        """
        key = (benchmark.name, problem.id)
        if key not in self._written:
            self._written[key] = self._render(benchmark, problem)
        return self._written[key]

    def write_first(self, benchmark: Benchmark) -> dict[str, Any]:
        """The first prompt of a benchmark, for results and checks."""
        prompt = self.write(benchmark, benchmark.problems[0])
        return {"text": prompt.text, "token_ids": None if prompt.token_ids is None else list(prompt.token_ids)}

    def _render(self, benchmark: Benchmark, problem: Problem) -> Prompt:
        template = benchmark.form.chat_template
        if self.tokenizer is not None:
            options = self._options if template is None else {}
            asked: dict[str, Any] = {"chat_template": template, "options": options}
            text = prompt_text(self.tokenizer, problem.messages, **asked)
            return Prompt(text, tuple(prompt_ids(self.tokenizer, problem.messages, **asked)))
        if template == PASS_THROUGH:
            return Prompt("".join(message["content"] for message in problem.messages), None)
        raise SeedGrpoError(
            f"The prompts of {benchmark.name} are messages for the model's chat template, and only the server knows "
            "the model.",
            "name the model's folder, or owner/name on the hub, with --tokenizer; or give --template none, qwen_math "
            "or r1.",
        )
