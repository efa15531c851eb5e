"""Uses every operation of a client that openapi-python-client generated, in its environment. Takes URL and token."""

from __future__ import annotations

import datetime as dt
import sys
import time

from tillroll_client import AuthenticatedClient, Client
from tillroll_client.api.aggregates import find_merchants, read_aggregate, read_aggregates, read_many_aggregates
from tillroll_client.api.events import send_events
from tillroll_client.api.rejected import discard_rejected, get_rejected, list_rejected, retry_rejected
from tillroll_client.api.reports import (
    list_reports,
    read_bracket_method,
    read_day_merchant,
    read_hour_bracket,
    read_hour_bracket_method,
    read_merchant_method,
)
from tillroll_client.api.server import get_health, get_metrics, get_openapi, get_status, start_audit
from tillroll_client.models import Bracket, Event, PaymentMethod, Problem, ProblemCode, ReadManyAggregatesBody, Receipt
from tillroll_client.models.read_hour_bracket_by_item import ReadHourBracketByItem
from tillroll_client.models.read_hour_bracket_order import ReadHourBracketOrder

AT = dt.datetime(2011, 12, 3, 10, 15, 30, tzinfo=dt.UTC)
DATAPOINT = "2011-12-03:10|10-50|SLICE_IT"


def purchase(amount: int, name: str) -> Event:
    return Event(date=AT, amount=amount, payment_method=PaymentMethod.SLICE_IT, merchant_id="acme", id=name)


def main(url: str, token: str) -> None:
    client = AuthenticatedClient(base_url=url, token=token)
    receipt = send_events.sync(client=client, body=[purchase(4285, "1"), purchase(70_000, "2"), purchase(-1, "3")])
    assert isinstance(receipt, Receipt), receipt
    assert (receipt.accepted, receipt.rejected, receipt.not_accepted[0].index) == (2, 1, 2)
    again = send_events.sync(client=client, body=purchase(4285, "1"))
    assert isinstance(again, Receipt), again
    assert again.duplicates == 1
    refused = send_events.sync(client=client, body=purchase(-1, "4"))
    assert isinstance(refused, Problem), refused
    assert refused.code is ProblemCode.NOT_ACCEPTED

    reports = list_reports.sync(client=client)
    assert [report.name for report in reports] == [
        "hour-bracket", "hour-bracket-method", "bracket-method", "day-merchant", "merchant-method",
    ]  # fmt: skip
    for read in (read_hour_bracket_method, read_bracket_method, read_day_merchant, read_merchant_method):
        assert sum(row.events for row in read.sync(client=client)) == 2
    few = read_hour_bracket.sync(
        client=client,
        from_="2011-12-03",
        to="2011-12-04",
        bracket=[Bracket.OVER_500],
        by=[ReadHourBracketByItem.BRACKET],
        order=ReadHourBracketOrder.VALUE_2,
    )
    assert [(row.datapoint, row.events) for row in few] == [(">500", 1)]
    wrong = read_hour_bracket.sync(client=client, from_="2011-12-04", to="2011-12-03")
    assert isinstance(wrong, Problem), wrong
    assert wrong.additional_properties.get("field", getattr(wrong, "field", None)) == "to"

    assert read_aggregate.sync(DATAPOINT, client=client).events == 1
    assert [row.events for row in read_aggregates.sync(client=client, datapoint=[DATAPOINT, "<10|PAY_NOW"])] == [1, 0]
    many = read_many_aggregates.sync(client=client, body=ReadManyAggregatesBody(datapoints=[DATAPOINT]))
    assert many[0].events == 1
    assert find_merchants.sync(client=client, q="ac") == ["acme"]

    kept = list_rejected.sync(client=client)
    assert len(kept) == 2
    assert get_rejected.sync(kept[0].id, client=client).code.value == "invalid_amount"
    assert retry_rejected.sync(kept[0].id, client=client, body=purchase(100, "3")).outcome.value == "accepted"
    assert discard_rejected.sync_detailed(kept[1].id, client=client).status_code == 204
    assert list_rejected.sync(client=client) == []

    assert start_audit.sync(client=client).running is True
    ends_at = time.monotonic() + 30
    while (status := get_status.sync(client=client)).last_audit is None:
        assert time.monotonic() < ends_at
        time.sleep(0.1)
    assert status.last_audit.differences_total == 0
    assert status.events == 3
    assert "tillroll_events" in get_metrics.sync(client=client)
    anyone = Client(base_url=url)
    assert get_health.sync(client=anyone) == "ok\n"
    assert get_openapi.sync(client=anyone).additional_properties["openapi"] == "3.1.0"
    missing = list_reports.sync(client=anyone)
    assert isinstance(missing, Problem), missing
    assert missing.code is ProblemCode.TOKEN_MISSING


if __name__ == "__main__":
    main(*sys.argv[1:])
