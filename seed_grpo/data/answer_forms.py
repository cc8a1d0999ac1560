"""Which answer template goes with which data set and prompt template, and what to say if the two do not fit.

A prompt template that asks for a form of answer gets answers in that form, whatever the data set. One that asks for
none (`none`) gets the form that the data set's own solutions have, because that is what a model has seen such problems
answered with. The declarations stand with the templates (`Template.answer_template`, `Template.asks`) and the data sets
(`Dataset.answer_form`); docs/data.md shows them as one table.
"""

from __future__ import annotations

from seed_grpo.data.registry import Dataset
from seed_grpo.data.templates import Template

READERS: dict[str, tuple[str, ...]] = {
    "boxed": ("boxed", "auto", "phrase"),
    "answer_tag": ("answer_tag", "auto"),
    "answer_line": ("answer_line", "auto", "phrase"),
    "gsm8k": ("gsm8k",),
}
"""For each form in which an answer can be written, the answer templates that find it, the strictest first."""


def written_form(dataset: Dataset, template: Template) -> str:
    """The form in which responses to the data set's problems hold their answers, under a prompt template."""
    return template.answer_template if template.asks else dataset.answer_form


def reads(answer_template: str, form: str) -> bool:
    """Whether an answer template finds answers that are written in a form."""
    return answer_template in READERS.get(form, (form,))


def misfit(dataset: Dataset, template: Template, answer_template: str) -> str | None:
    """One line on cause and remedy if the answer template does not find what the responses hold, else None."""
    form = written_form(dataset, template)
    if reads(answer_template, form):
        return None
    if template.asks:
        cause = f"the prompt template {template.name} asks for the form {form}"
        remedy = f"leave --answer-template out, or set it to {form}"
    else:
        cause = f"the prompt template {template.name} asks for no form, and solutions of {dataset.name} have {form}"
        remedy = f"use --answer-template {form}, or --template qwen_math, which asks for a box"
    return f"{dataset.name}: answers will be looked for as {answer_template}, but {cause}; {remedy}."
