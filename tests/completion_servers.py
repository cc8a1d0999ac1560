"""HTTP servers on loopback that speak OpenAI's `/v1/completions`, well or badly."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Handler = BaseHTTPRequestHandler
Reply = Callable[[Handler, dict[str, Any]], None]


def completion(text: str, reason: str = "stop", **fields: Any) -> dict[str, Any]:
    choice = {"index": 0, "text": text, "finish_reason": reason, **fields}
    return {"object": "text_completion", "choices": [choice], "usage": {"completion_tokens": len(text)}}


def send(handler: Handler, content: Any, status: int = 200, headers: dict[str, str] | None = None) -> None:
    body = content if isinstance(content, bytes) else json.dumps(content).encode()
    handler.send_response(status)
    for name, value in {"Content-Length": str(len(body)), **(headers or {})}.items():
        handler.send_header(name, value)
    handler.end_headers()
    handler.wfile.write(body)


@contextmanager
def serve(reply: Reply) -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """A server that answers with `reply`; yields its URL and the bodies that it received."""
    received: list[dict[str, Any]] = []

    class Handle(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            received.append({**body, "path": self.path, "authorization": self.headers.get("Authorization")})
            try:
                reply(self, body)
            except OSError:
                self.close_connection = True

        def log_message(self, *arguments: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handle)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/v1", received
    finally:
        server.shutdown()
        server.server_close()
