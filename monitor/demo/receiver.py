"""A local receiver of webhooks that takes the place of a CI server in the demo. It accepts only signed requests."""

import base64
import hashlib
import hmac
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from queue import SimpleQueue
from typing import Any

from monitor.records import Json


class Receiver:
    """Listens on a free port of loopback; verified events wait in `events`, each id once."""

    def __init__(self, secret: str) -> None:
        self.events: SimpleQueue[Json] = SimpleQueue()
        self._key = base64.b64decode(secret.removeprefix("whsec_"))
        self._seen: set[str] = set()
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers.get("content-length", 0)))
                self.send_response(receiver.take(dict(self.headers), body))
                self.send_header("content-length", "0")
                self.end_headers()

            def log_message(self, *_: Any) -> None:
                pass                     # the demo prints its own messages

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}/retrain"

    def take(self, headers: dict[str, str], body: bytes) -> int:
        """Verify a request as Standard Webhooks specifies; return the HTTP status."""
        given = {name.lower(): value for name, value in headers.items()}
        id, moment = given.get("webhook-id", ""), given.get("webhook-timestamp", "")
        digest = hmac.new(self._key, f"{id}.{moment}.".encode() + body, hashlib.sha256).digest()
        wanted = f"v1,{base64.b64encode(digest).decode()}"
        if not any(hmac.compare_digest(wanted, signature) for signature in given.get("webhook-signature", "").split()):
            return 401
        if id not in self._seen:         # a repeat of the same request is no second request
            self._seen.add(id)
            self.events.put(json.loads(body))
        return 202

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
