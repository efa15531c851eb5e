"""What one would write otherwise: FastAPI, and five counters in PostgreSQL raised for each event, in one statement.

Run by bench.posts with uvicorn; DATABASE_URL says where PostgreSQL is. A commit is durable, as its default is.
"""

from __future__ import annotations

import os
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Literal

import asyncpg
from fastapi import FastAPI
from pydantic import BaseModel, Field

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

TABLE = "CREATE TABLE IF NOT EXISTS aggregate (datapoint text PRIMARY KEY, events bigint NOT NULL)"
UPSERT = """
INSERT INTO aggregate SELECT unnest($1::text[]), 1
ON CONFLICT (datapoint) DO UPDATE SET events = aggregate.events + 1
"""


class Purchase(BaseModel):
    """The contract's event."""

    date: datetime
    amount: int = Field(ge=0, le=10**12)
    paymentMethod: Literal["PAY_NOW", "PAY_LATER", "SLICE_IT"]  # noqa: N815
    merchantId: str = Field(min_length=1, max_length=128)  # noqa: N815


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    """Keep a pool of connections."""
    async with asyncpg.create_pool(os.environ["DATABASE_URL"], min_size=16, max_size=16) as pool:
        await pool.execute(TABLE)
        app.state.pool = pool
        yield


app = FastAPI(lifespan=lifespan)


def bracket(amount: int) -> str:
    """Return the bracket of an amount in cents."""
    if amount < 1_000:
        return "<10"
    if amount < 5_000:
        return "10-50"
    if amount < 10_000:
        return "50-100"
    return "100-500" if amount <= 50_000 else ">500"


@app.post("/events", status_code=202)
async def post_event(purchase: Purchase) -> dict[str, int]:
    """Count a purchase into its five datapoints."""
    date = purchase.date.astimezone(UTC)
    hour, day = f"{date:%Y-%m-%d:%H}", f"{date:%Y-%m-%d}"
    its = bracket(purchase.amount)
    method, merchant = purchase.paymentMethod, purchase.merchantId
    datapoints = [
        f"{hour}|{its}",
        f"{hour}|{its}|{method}",
        f"{its}|{method}",
        f"{day}|{merchant}",
        f"{merchant}|{method}",
    ]
    await app.state.pool.execute(UPSERT, sorted(datapoints))  # sorted, or two transactions could wait for each other
    return {"accepted": 1}
