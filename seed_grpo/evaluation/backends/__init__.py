"""Backends answer prompts: one file each behind one small interface, and one line each in `BACKENDS`.

A backend takes a batch of requests and yields a completion for each, in any order. It is handed requests in the order
of the whole evaluation, `batch_size` at a time; one with `whole_batches` gets a batch that was cut short by an
interruption again as a whole, because what shares its batch may change a response's last bits.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from importlib import import_module
from pathlib import Path
from typing import Any, Protocol

from seed_grpo.engines.sampling import Sampling
from seed_grpo.errors import UsageError
from seed_grpo.evaluation.fingerprint import model_fingerprint


@dataclass(frozen=True)
class Kind:
    """A kind of backend.

    Attributes:
        module: has the function `load(options, tokenizer)`, which returns a `Backend`.
        loads_model: whether `--model` is a folder or a name on the hub, and not the name that a server gives it.
    """

    module: str
    loads_model: bool = True


BACKENDS = {
    "hf": Kind("seed_grpo.evaluation.backends.hf"),
    "vllm": Kind("seed_grpo.evaluation.backends.vllm"),
    "openai": Kind("seed_grpo.evaluation.backends.openai", loads_model=False),
}
"""A new backend is one file and one line here."""


@dataclass(frozen=True)
class BackendOptions:
    """What a person may tell a backend; each takes what concerns it.

    Attributes:
        model: a folder, owner/name on the hub, or the name that a server serves it under.
        backend: a key of `BACKENDS`.
        tokenizer: folder or hub name of the model's tokenizer; None: the model's, if it is a folder or loaded here;
            `none`: a server is sent text.
        chat_template_kwargs: further variables of the model's chat template.
        revision: the model's commit on the hub.
        dtype: precision of the weights (hf, vllm).
        device: `cpu`, `cuda`, `cuda:1`, or `auto` (hf).
        batch_size: responses at once; None: the backend's own number (hf, vllm).
        tensor_parallel: GPUs that share the model (vllm).
        max_model_len: longest prompt and response together; None: the model's own (vllm).
        base_url: the server, up to and with `/v1` (openai).
        api_key_env: the environment variable that holds the server's API key (openai).
        dialect: which parameters the server knows (openai; `seed_grpo.evaluation.backends.dialects`).
        concurrency: requests under way at once (openai).
        timeout: seconds for one request (openai).
        retries: further attempts at a failed request (openai).
    """

    model: str
    backend: str = "hf"
    tokenizer: str | None = None
    chat_template_kwargs: Mapping[str, Any] = field(default_factory=dict)
    revision: str | None = None
    dtype: str = "auto"
    device: str = "auto"
    batch_size: int | None = None
    tensor_parallel: int = 1
    max_model_len: int | None = None
    base_url: str | None = None
    api_key_env: str = "OPENAI_API_KEY"
    dialect: str = "auto"
    concurrency: int = 32
    timeout: float = 600.0
    retries: int = 5

    def __post_init__(self) -> None:
        if self.backend not in BACKENDS:
            raise UsageError(f"Unknown backend {self.backend!r}.", f"choose one of {', '.join(BACKENDS)}.")


class Source:
    """A backend that has been chosen, and is loaded when it is needed."""

    def __init__(self, options: BackendOptions) -> None:
        self._kind = BACKENDS[options.backend]
        if self._kind.loads_model and Path(options.model).expanduser().is_dir():
            # m, ./m, m/ and ~/m are one model.
            options = replace(options, model=os.path.normpath(Path(options.model).expanduser()))
        self.options = options

    def identity(self) -> dict[str, Any]:
        """What responses depend on apart from prompt, seed and sampling."""
        options = self.options
        return {
            "model": options.model,
            "revision": options.revision,
            "fingerprint": model_fingerprint(options.model) if self._kind.loads_model else None,
            "backend": options.backend,
            "dtype": options.dtype,
        }

    def load_tokenizer(self) -> Any | None:
        """The model's tokenizer; None if only a server knows it.

        Raises:
            SeedGrpoError: it cannot be loaded.
        """
        from seed_grpo.engines.prompts import load_tokenizer

        options = self.options
        name = options.tokenizer
        if name is None and (self._kind.loads_model or Path(options.model).expanduser().is_dir()):
            name = options.model
        if name is None or (name == "none" and not self._kind.loads_model):
            return None
        return load_tokenizer(name, options.revision if name == options.model else None)

    def load(self, tokenizer: Any | None) -> Backend:
        """The backend, ready to answer."""
        backend: Backend = import_module(self._kind.module).load(self.options, tokenizer)
        return backend


@dataclass(frozen=True)
class Prompt:
    """A prompt as text, and as the token ids that training would hand to the model; None if nobody here knows them."""

    text: str
    token_ids: tuple[int, ...] | None = None


@dataclass(frozen=True)
class Request:
    """A prompt, and the seed of its response."""

    prompt: Prompt
    seed: int


@dataclass(frozen=True)
class Completion:
    """A response.

    Attributes:
        text: as text, with the stop string if one ended it.
        truncated: whether it was cut off at the token limit.
        tokens: its number of tokens, if known.
        log_prob: the sum of its tokens' log-probabilities, if known.
    """

    text: str
    truncated: bool
    tokens: int | None = None
    log_prob: float | None = None


class Backend(Protocol):
    """A source of responses."""

    batch_size: int
    whole_batches: bool

    def complete(self, requests: Sequence[Request], sampling: Sampling) -> Iterator[tuple[int, Completion]]:
        """Yield (index of the request, its completion) as they finish.

        Raises:
            SeedGrpoError: no response can be had.
        """
        ...

    def describe(self) -> dict[str, Any]:
        """What the responses depend on apart from prompts and sampling: model, revision, precision, device."""
        ...

    def close(self) -> None:
        """Let go of model or connections."""
        ...


def cut_at_stop(completion: Completion, stop: Sequence[str]) -> Completion:
    """End the text behind the first stop string; a response that reached one was not cut off."""
    ends = [at + len(mark) for mark in stop if (at := completion.text.find(mark)) >= 0]
    if not ends:
        return completion
    return Completion(completion.text[: min(ends)], False, completion.tokens, completion.log_prob)
