"""The prompts that a model sees, byte for byte those of Dr.GRPO's public code.

A template is text around the problem. If a row of training data stores that text as one message (`text`), the run
must pass messages through as they are: `PASS_THROUGH` is the chat template that does so. A template that is a chat
can instead be stored as its messages (`messages`), and the model's own chat template renders them.
"""

from __future__ import annotations

from dataclasses import dataclass

from seed_grpo.errors import UsageError

PASS_THROUGH = "{% for message in messages %}{{ message['content'] }}{% endfor %}"
"""For `actor_rollout_ref.model.custom_chat_template`: the messages' content and nothing else."""

PROMPT_FORMATS = ("text", "messages")

QWEN_SYSTEM = "Please reason step by step, and put your final answer within \\boxed{}."

Messages = list[dict[str, str]]


@dataclass(frozen=True)
class Template:
    """A prompt template.

    Attributes:
        name: its key in `TEMPLATES`.
        before, after: the text around the problem.
        system: the system message of a template that is a chat.
        is_chat: whether the model's chat template can render it from messages.
        answer_template: where a response holds its answer (`seed_grpo.meaning.answers`).
        asks: whether the prompt says so; if not, responses have it where the data set's own solutions do.
        stop: strings that end a response and belong to it.
    """

    name: str
    before: str = ""
    after: str = ""
    system: str | None = None
    is_chat: bool = True
    answer_template: str = "boxed"
    asks: bool = True
    stop: tuple[str, ...] = ()

    def text(self, problem: str) -> str:
        """The prompt as the model reads it."""
        return self.before + problem + self.after

    def messages(self, problem: str, prompt_format: str = "text") -> Messages:
        """The prompt as a row of verl's data stores it.

        Raises:
            UsageError: an unknown format, or messages of a template that is not a chat.
        """
        if prompt_format not in PROMPT_FORMATS:
            raise UsageError(f"Unknown prompt format {prompt_format!r}.", f"choose one of {', '.join(PROMPT_FORMATS)}.")
        if prompt_format == "text":
            return [{"role": "user", "content": self.text(problem)}]
        if not self.is_chat:
            raise UsageError(f"The template {self.name!r} is not a chat.", "choose the prompt format text.")
        system = [{"role": "system", "content": self.system}] if self.system else []
        return [*system, {"role": "user", "content": problem}]


TEMPLATES = {
    template.name: template
    for template in (
        Template(
            "qwen_math",
            before=f"<|im_start|>system\n{QWEN_SYSTEM}<|im_end|>\n<|im_start|>user\n",
            after="<|im_end|>\n<|im_start|>assistant\n",
            system=QWEN_SYSTEM,
        ),
        Template(
            "r1",
            before=(
                "A conversation between User and Assistant. The User asks a question, and the Assistant solves it. "
                "The Assistant first thinks about the reasoning process in the mind and then provides the User with "
                "the answer. The reasoning process is enclosed within <think> </think> and answer is enclosed within "
                "<answer> </answer> tags, respectively, i.e., <think> reasoning process here </think> "
                "<answer> answer here </answer>.\nUser: "
            ),
            after="\nAssistant: <think>",
            is_chat=False,
            answer_template="answer_tag",
            stop=("</answer>",),
        ),
        Template("none", asks=False),
    )
}


def get_template(name: str) -> Template:
    """The template of that name; `no`, as Dr.GRPO calls it, is `none`.

    Raises:
        UsageError: there is no such template.
    """
    name = "none" if name == "no" else name
    if name not in TEMPLATES:
        raise UsageError(f"Unknown template {name!r}.", f"choose one of {', '.join(TEMPLATES)}.")
    return TEMPLATES[name]
