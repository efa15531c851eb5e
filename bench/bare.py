"""tillroll serve with nothing behind its route for events, which is not ASGI: what HTTP alone costs it."""

from __future__ import annotations

import asyncio
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tillroll.ingest.take import ONE, Receipt
from tillroll.stores.sqlite.store import SqliteStore
from tillroll.web import state
from tillroll.web.server import serve
from tillroll.web.settings import ServerSettings

if TYPE_CHECKING:
    from tillroll.core.accept import Body
    from tillroll.ingest.group_commit import Done


class BareGroupCommit:
    """Stands where the group commit does and says of every body that it is accepted."""

    depth = 0

    def __init__(self, *_: Any, **__: Any) -> None:
        self._loop = asyncio.get_running_loop()
        self._receipt = ONE

    def submit(self, _body: Body) -> asyncio.Future[Receipt]:
        """Return a receipt at once."""
        future: asyncio.Future[Receipt] = self._loop.create_future()
        future.set_result(self._receipt)
        return future

    def submit_to(self, _body: Body, done: Done) -> None:
        """Tell of a receipt soon."""
        self._loop.call_soon(done, self._receipt)

    async def close(self) -> None:
        """Do nothing."""


if __name__ == "__main__":
    state.GroupCommit = BareGroupCommit  # type: ignore[misc, assignment] # the one thing that differs from `tillroll serve`
    with tempfile.TemporaryDirectory() as directory:
        store = SqliteStore(Path(directory))
        serve(store, ServerSettings(port=0))
        store.close()
