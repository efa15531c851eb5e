"""The route of fields: which are kept, and which others events bring."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tillroll.web.answers import json_answer, parameters_of, unknown_parameter

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

    from tillroll.web.state import ServerState


class FieldsRoute:
    """Shows names, JSON types and numbers, never a value."""

    def __init__(self, state: ServerState) -> None:
        self._state = state

    async def fields(self, request: Request) -> Response:
        """GET /fields."""
        for name in parameters_of(request):
            raise unknown_parameter(name, ())
        return json_answer(request, await self._state.read(self._state.fields.shown, self._state.store))
