"""Any server that speaks OpenAI's `/v1/completions`: `vllm serve`, SGLang, `transformers serve`, a provider.

The prompt is sent as text, so the template's bytes reach the model and no chat template comes in between. A server may
fail, hang or talk nonsense: every request has a deadline, failures are tried again with growing pauses, and what was
answered before is on disk already.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from seed_grpo.engines.sampling import Sampling
from seed_grpo.errors import SeedGrpoError, UsageError
from seed_grpo.evaluation.backends import Completion, Request, cut_at_stop

if TYPE_CHECKING:
    import httpx

MAX_BODY_BYTES = 32 << 20
MAX_PAUSE_SECONDS = 60.0
_FINISHED = ("stop", "length", "eos_token", "stop_sequence")
"""Reasons to finish that servers give for a whole response, and for one that reached the limit."""
_AGAIN = {408, 409, 425, 429, 500, 502, 503, 504}


class _Again(Exception):
    """A failure that may pass; `pause` is what the server asked for."""

    def __init__(self, reason: str, pause: float = 0.0) -> None:
        super().__init__(reason)
        self.pause = pause


class OpenAIBackend:
    """Asks a server, several requests at once.

    Args:
        base_url: up to and with `/v1`.
        model: the name under which the server serves it.
        api_key: sent as a bearer token.
        concurrency: requests under way at once.
        timeout: seconds for one request, from first to last byte.
        retries: how often a failed request is tried again.
        first_pause: seconds before the first of these; each is twice the one before.
    """

    whole_batches = False
    batch_size = 1 << 20

    def __init__(
        self,
        base_url: str,
        model: str,
        *,
        api_key: str | None = None,
        concurrency: int = 32,
        timeout: float = 600.0,
        retries: int = 5,
        first_pause: float = 1.0,
    ) -> None:
        if not base_url.startswith(("http://", "https://")):
            raise UsageError(f"{base_url!r} is no URL.", "give --base-url such as http://localhost:8000/v1.")
        if concurrency < 1 or timeout <= 0 or retries < 0:
            raise UsageError("concurrency, timeout and retries must be positive.", "give --concurrency 32 or so.")
        self._url = base_url.rstrip("/") + "/completions"
        self._model = model
        self._headers = {"Authorization": f"Bearer {api_key}"} if api_key else {}
        self._concurrency = concurrency
        self._timeout = timeout
        self._retries = retries
        self._first_pause = first_pause

    def complete(self, requests: Sequence[Request], sampling: Sampling) -> Iterator[tuple[int, Completion]]:
        import httpx

        loop = asyncio.new_event_loop()
        client = httpx.AsyncClient(
            headers=self._headers, timeout=None, limits=httpx.Limits(max_connections=self._concurrency)
        )
        tasks: dict[asyncio.Task[Completion], int] = {}
        following = iter(enumerate(requests))
        try:
            while True:
                while len(tasks) < self._concurrency and (item := next(following, None)) is not None:
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
        return {"model": self._model, "server": self._url.removesuffix("/completions")}

    def close(self) -> None:
        """Nothing stays open between calls."""

    async def _ask(self, client: httpx.AsyncClient, request: Request, sampling: Sampling) -> Completion:
        body: dict[str, Any] = {
            "model": self._model,
            "prompt": request.prompt,
            "n": 1,
            "max_tokens": sampling.max_tokens,
            "temperature": sampling.temperature,
            "top_p": sampling.top_p,
            "seed": request.seed,
        }
        if sampling.top_k > 0:
            body["top_k"] = sampling.top_k  # not in OpenAI's own API
        if sampling.stop:
            body["stop"] = list(sampling.stop)
        pause = self._first_pause
        for attempt in range(self._retries + 1):
            try:
                return cut_at_stop(_read_completion(await self._post(client, body), sampling.stop), sampling.stop)
            except _Again as failure:
                if attempt == self._retries:
                    raise SeedGrpoError(
                        f"{self._url} failed {attempt + 1} times; at last: {failure}.",
                        "see to the server and start again: what was answered is kept.",
                    ) from failure
                await asyncio.sleep(min(max(pause, failure.pause), MAX_PAUSE_SECONDS))
                pause *= 2
        raise AssertionError("unreachable")

    async def _post(self, client: httpx.AsyncClient, body: dict[str, Any]) -> Any:
        """The server's JSON.

        Raises:
            _Again: it may work next time. SeedGrpoError: it will not.
        """
        import httpx

        try:
            # One deadline for the whole reply: a time-out a read would never give up a server that drips.
            response, content = await asyncio.wait_for(_fetch(client, self._url, body), self._timeout)
        except (TimeoutError, asyncio.TimeoutError):
            raise _Again(f"no whole reply within {self._timeout:g} s") from None
        except httpx.HTTPError as error:
            raise _Again(f"{type(error).__name__}: {error}") from error
        if response.status_code in _AGAIN:
            raise _Again(f"status {response.status_code}: {_excerpt(content)}", _retry_after(response))
        if response.status_code != 200:
            raise SeedGrpoError(
                f"{self._url} refused the request with status {response.status_code}: {_excerpt(content)}",
                "check --base-url, --model, --max-tokens and the API key.",
            )
        try:
            return json.loads(content)
        except (ValueError, RecursionError) as error:
            raise _Again(f"a reply that is not JSON: {_excerpt(content)}") from error


async def _close(client: httpx.AsyncClient, tasks: Iterable[asyncio.Task[Completion]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    await client.aclose()


async def _fetch(client: httpx.AsyncClient, url: str, body: dict[str, Any]) -> tuple[httpx.Response, bytes]:
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


def _excerpt(content: bytes) -> str:
    text = content[:200].decode("utf-8", "replace")
    return " ".join(text.split()) or "(empty)"
