"""Any server that speaks OpenAI's `/v1/completions`: `vllm serve`, SGLang, `transformers serve`, a provider.

The prompt is sent as token ids if the model's tokenizer is known, else as text; no chat template comes in between. A
server may fail, hang or talk nonsense: every request has a deadline, failures are tried again with growing pauses, and
what was answered before is on disk already.
"""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

from seed_grpo.engines.sampling import Sampling
from seed_grpo.errors import SeedGrpoError, UsageError
from seed_grpo.evaluation.backends import BackendOptions, Completion, Prompt, Request, cut_at_stop
from seed_grpo.evaluation.backends.dialects import AUTO, DIALECTS, TEXT_ONLY, Body

if TYPE_CHECKING:
    import httpx

MAX_BODY_BYTES = 32 << 20
MAX_PAUSE_SECONDS = 60.0
_FINISHED = ("stop", "length", "eos_token", "stop_sequence")
"""Reasons to finish that servers give for a whole response, and for one that reached the limit."""
_AGAIN = {408, 409, 425, 429, 500, 502, 503, 504}
_UNKNOWN_FIELDS = b"Unexpected fields in the request"
"""What `transformers serve` says of parameters that it does not know."""
_EXTRA_FIELDS = ("top_k", "min_p", "repetition_penalty", "add_special_tokens")


def load(options: BackendOptions, tokenizer: Any | None) -> OpenAIBackend:
    """Nothing is loaded here, and no request sent."""
    return OpenAIBackend(options, tokenizer)


class _Again(Exception):
    """A failure that may pass; `pause` is what the server asked for."""

    def __init__(self, reason: str, pause: float = 0.0) -> None:
        super().__init__(reason)
        self.pause = pause


class _Refused(Exception):
    """A status that another attempt would not change."""

    def __init__(self, status: int, content: bytes) -> None:
        super().__init__(f"status {status}: {_excerpt(content)}")
        self.content = content


class OpenAIBackend:
    """Asks a server, several requests at once.

    Args:
        options: base URL, model, dialect, API key, concurrency, time-out and retries.
        tokenizer: the model's, if it is known here.
        first_pause: seconds before the first further attempt; each pause is twice the one before.
    """

    whole_batches = False
    batch_size = 1 << 20

    def __init__(self, options: BackendOptions, tokenizer: Any | None = None, *, first_pause: float = 1.0) -> None:
        if options.base_url is None:
            raise UsageError("The backend openai needs a server.", "give --base-url http://localhost:8000/v1 or so.")
        if not options.base_url.startswith(("http://", "https://")):
            raise UsageError(f"{options.base_url!r} is not a URL.", "give --base-url such as http://localhost:8000/v1.")
        if options.concurrency < 1 or not options.timeout > 0 or options.retries < 0:
            raise UsageError("concurrency, timeout and retries must be positive.", "give --concurrency 32 or so.")
        if options.dialect not in (AUTO, *DIALECTS):
            raise UsageError(f"Unknown dialect {options.dialect!r}.", f"choose one of {', '.join([AUTO, *DIALECTS])}.")
        self._options = options
        self._tokenizer = tokenizer
        self._first_pause = first_pause
        self._url = options.base_url.rstrip("/") + "/completions"
        self._dialect = "vllm" if options.dialect == AUTO else options.dialect

    def complete(self, requests: Sequence[Request], sampling: Sampling) -> Iterator[tuple[int, Completion]]:
        import httpx

        key = os.environ.get(self._options.api_key_env)
        concurrency = self._options.concurrency
        loop = asyncio.new_event_loop()
        client = httpx.AsyncClient(
            headers={"Authorization": f"Bearer {key}"} if key else {},
            timeout=None,
            limits=httpx.Limits(max_connections=concurrency),
        )
        tasks: dict[asyncio.Task[Completion], int] = {}
        following = iter(enumerate(requests))
        try:
            while True:
                while len(tasks) < concurrency and (item := next(following, None)) is not None:
                    tasks[loop.create_task(self._ask(client, item[1], sampling))] = item[0]
                if not tasks:
                    return
                done, _ = loop.run_until_complete(asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED))
                for task in done:
                    yield tasks.pop(task), task.result()
        finally:
            loop.run_until_complete(_close(client, tasks))
            loop.close()

    def describe(self) -> dict[str, Any]:
        as_ids = self._tokenizer is not None and self._dialect != TEXT_ONLY
        return {
            "model": self._options.model,
            "server": self._url.removesuffix("/completions"),
            "dialect": self._dialect,
            "prompts_sent_as": "token ids" if as_ids else "text",
        }

    def close(self) -> None:
        """Nothing stays open between calls."""

    async def _ask(self, client: httpx.AsyncClient, request: Request, sampling: Sampling) -> Completion:
        dialect = self._dialect
        try:
            return await self._insist(client, request, sampling)
        except _Refused as refusal:
            if self._options.dialect == AUTO and dialect == "vllm" and _UNKNOWN_FIELDS in refusal.content:
                self._dialect = "transformers"
                return await self._ask(client, request, sampling)
            raise self._refusal(refusal) from refusal

    async def _insist(self, client: httpx.AsyncClient, request: Request, sampling: Sampling) -> Completion:
        """Ask, and ask again after a failure that may pass."""
        body = self._body(request, sampling)
        pause = self._first_pause
        for attempt in range(self._options.retries + 1):
            try:
                reply = await self._post(client, body)
                self._check_prompt(reply, request.prompt)
                return cut_at_stop(_read_completion(reply, sampling.stop), sampling.stop)
            except _Again as failure:
                if attempt == self._options.retries:
                    raise SeedGrpoError(
                        f"{self._url} failed {attempt + 1} times; at last: {failure}.{_proxy_note(self._url)}",
                        "see to the server and start again: what was answered is kept.",
                    ) from failure
                await asyncio.sleep(min(max(pause, failure.pause), MAX_PAUSE_SECONDS))
                pause *= 2
        raise AssertionError("unreachable")

    def _body(self, request: Request, sampling: Sampling) -> Body:
        if self._dialect == TEXT_ONLY:
            request = Request(self._prompt_for_text_server(request.prompt), request.seed)
        return {"model": self._options.model, **DIALECTS[self._dialect](request, sampling)}

    def _refusal(self, refusal: _Refused) -> SeedGrpoError:
        said = refusal.content.decode("utf-8", "replace")
        if self._dialect == "vllm" and any(name in said for name in _EXTRA_FIELDS):
            remedy = (
                "if the server knows OpenAI's parameters only, give --dialect openai: its own defaults then hold for "
                "top_k, min_p and repetition_penalty."
            )
        else:
            remedy = "check --base-url, --model, --max-tokens, --tokenizer and the API key."
        return SeedGrpoError(
            f"{self._url} refused the request with {refusal}.{_proxy_note(self._url)}",
            remedy,
        )

    def _prompt_for_text_server(self, prompt: Prompt) -> Prompt:
        """The text from which a server that adds special tokens by itself makes the prompt's token ids.

        Raises:
            SeedGrpoError: there is none, or nobody can tell.
        """
        if self._tokenizer is None:
            raise SeedGrpoError(
                "The server takes text only and adds special tokens to it, which cannot be checked without the "
                "model's tokenizer.",
                "name the model's folder, or owner/name on the hub, with --tokenizer.",
            )
        bos = self._tokenizer.bos_token
        for text in (prompt.text, prompt.text.removeprefix(bos or "")):
            if tuple(self._tokenizer(text)["input_ids"]) == prompt.token_ids:
                return Prompt(text, prompt.token_ids)
        raise SeedGrpoError(
            "The server takes text only and adds special tokens to it that the prompts do not have in training.",
            "choose --backend hf or vllm, or serve the model with vLLM or SGLang.",
        )

    def _check_prompt(self, reply: Any, prompt: Prompt) -> None:
        """Hold the server's count of the prompt's tokens, if it gives one, against ours.

        Raises:
            SeedGrpoError: the model has read another prompt.
        """
        usage = reply.get("usage") if isinstance(reply, dict) else None
        counted = usage.get("prompt_tokens") if isinstance(usage, dict) else None
        if prompt.token_ids is not None and isinstance(counted, int) and counted not in (0, len(prompt.token_ids)):
            raise SeedGrpoError(
                f"{self._url} counts {counted} tokens in a prompt of {len(prompt.token_ids)}.",
                "check that --tokenizer is that of the served model.",
            )

    async def _post(self, client: httpx.AsyncClient, body: Body) -> Any:
        """The server's JSON.

        Raises:
            _Again: it may work next time. _Refused: it will not.
        """
        import httpx

        try:
            # One deadline for the whole reply: a time-out for each read would never give up a server that drips.
            response, content = await asyncio.wait_for(_fetch(client, self._url, body), self._options.timeout)
        except (TimeoutError, asyncio.TimeoutError):
            raise _Again(f"no whole reply within {self._options.timeout:g} s") from None
        except httpx.HTTPError as error:
            raise _Again(f"{type(error).__name__}: {error}") from error
        if response.status_code in _AGAIN:
            raise _Again(f"status {response.status_code}: {_excerpt(content)}", _retry_after(response))
        if response.status_code != 200:
            raise _Refused(response.status_code, content)
        try:
            return json.loads(content)
        except (ValueError, RecursionError) as error:
            raise _Again(f"a reply that is not JSON: {_excerpt(content)}") from error


async def _close(client: httpx.AsyncClient, tasks: Iterable[asyncio.Task[Completion]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    await client.aclose()


async def _fetch(client: httpx.AsyncClient, url: str, body: Body) -> tuple[httpx.Response, bytes]:
    content = bytearray()
    async with client.stream("POST", url, json=body) as response:
        async for chunk in response.aiter_bytes():
            content += chunk
            if len(content) > MAX_BODY_BYTES:
                raise SeedGrpoError(f"{url} sent more than {MAX_BODY_BYTES >> 20} MiB.", "check the server.")
    return response, bytes(content)


def _read_completion(reply: Any, stop: Sequence[str]) -> Completion:
    try:
        [choice] = reply["choices"]
        text, reason = choice["text"], choice.get("finish_reason")
    except (TypeError, KeyError, ValueError, AttributeError):
        raise _Again(f"a reply without one choice: {_excerpt(json.dumps(reply).encode())}") from None
    if not isinstance(text, str) or reason not in _FINISHED:
        raise _Again(f"a choice without text or reason to finish: {_excerpt(json.dumps(choice).encode())}")
    # OpenAI's API leaves the stop string out; vLLM and SGLang say which one it was.
    stopped_by = choice.get("stop_reason") or choice.get("matched_stop")
    if stopped_by in stop and not text.endswith(stopped_by):
        text += stopped_by
    usage = reply.get("usage") if isinstance(reply, dict) else None
    tokens = usage.get("completion_tokens") if isinstance(usage, dict) else None
    return Completion(text, truncated=reason == "length", tokens=tokens if isinstance(tokens, int) else None)


def _retry_after(response: httpx.Response) -> float:
    """Seconds that the server asks for; a date, the header's other form, is left to our own pauses."""
    try:
        seconds = float(response.headers.get("retry-after", ""))
    except ValueError:
        return 0.0
    return seconds if 0 <= seconds < float("inf") else 0.0


def _proxy_note(url: str) -> str:
    """That requests to the URL go through a proxy, if they do; a local server is seldom behind one."""
    parts = urlsplit(url)
    proxies = getproxies()
    name = next((name for name in (parts.scheme, "all") if proxies.get(name)), None)
    if name is None or not parts.hostname or proxy_bypass(parts.hostname):
        return ""
    # Without the name and password that the variable may hold.
    proxy = urlsplit(proxies[name] if "//" in proxies[name] else f"//{proxies[name]}").netloc.rpartition("@")[2]
    return (
        f" Requests go through the proxy {proxy} of the variable {name}_proxy; no_proxy={parts.hostname} reaches the "
        "server directly."
    )


def _excerpt(content: bytes) -> str:
    text = content[:200].decode("utf-8", "replace")
    return " ".join(text.split()) or "(empty)"
