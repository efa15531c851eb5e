"""The server under test: the real process, on a port of its own, over a directory of its own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import httpx
from tests.e2e.http_server import NO_TLS
from tests.e2e.server import Server as Process

if TYPE_CHECKING:
    from pathlib import Path

BODY_EVENTS = 20_000


class Server(Process):
    """`tillroll serve` as a process, with a client."""

    def __init__(
        self,
        data: Path,
        *,
        address: str | None = None,
        tokens_file: Path | None = None,
        token: str | None = None,
        environ: dict[str, str] | None = None,
    ) -> None:
        flags = ("--tokens-file", tokens_file) if tokens_file else ()
        super().__init__(address or data, data.parent, *flags, **environ or {})
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        self.client = httpx.Client(base_url=self.url, headers=headers, timeout=60, verify=NO_TLS)

    def close(self) -> None:
        """End it for good."""
        super().close()
        self.client.close()

    def post(self, ndjson: bytes) -> None:
        """Send events; they must all be taken."""
        rows = ndjson.splitlines(keepends=True)
        for start in range(0, len(rows), BODY_EVENTS):
            body = b"".join(rows[start : start + BODY_EVENTS])
            reply = self.client.post("/events", content=body, headers={"Content-Type": "application/x-ndjson"})
            reply.raise_for_status()
            if reply.json()["rejected"]:
                raise RuntimeError(f"events were rejected: {reply.json()['not_accepted'][:3]}")

    def rows(self, report: str, **question: Any) -> dict[str, int]:
        """Return all rows that answer a question, in their order."""
        found: dict[str, int] = {}
        question.setdefault("limit", 10_000)
        url: str | httpx.URL = httpx.URL(f"/reports/{report}", params=question)
        while True:
            reply = self.client.get(url)
            reply.raise_for_status()
            found |= {row["datapoint"]: row["events"] for row in reply.json()}
            if "next" not in reply.links:
                return found
            url = reply.links["next"]["url"]
