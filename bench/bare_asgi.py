"""A bare ASGI route under uvicorn at its usual best settings: it reads the body, stores nothing and answers at once."""

from __future__ import annotations

from typing import Any

START = {"type": "http.response.start", "status": 202, "headers": [(b"content-type", b"application/json")]}
BODY = {"type": "http.response.body", "body": b'{"accepted":1}'}


async def app(_scope: Any, receive: Any, send: Any) -> None:
    """Answer one request (ASGI)."""
    more = True
    while more:
        more = (await receive()).get("more_body", False)
    await send(START)
    await send(BODY)
