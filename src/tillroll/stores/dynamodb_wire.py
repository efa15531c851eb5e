"""Calls as DynamoDB's JSON, and its replies as theirs. Pure.

The expressions are fixed texts; only values vary. `Count`, of which a fold makes thousands, is built by hand.
https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/
"""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Any, Final

import msgspec

from tillroll.errors import StoreError
from tillroll.stores.dynamodb_http import Request
from tillroll.stores.dynamodb_protocol import (
    BatchGet,
    BatchReply,
    ConditionFailed,
    Conflict,
    Correct,
    Count,
    Delete,
    Fault,
    Get,
    IndexReply,
    MoveFold,
    Put,
    Query,
    QueryIndex,
    QueryReply,
    ReplyLost,
    Scan,
    ScanReply,
    Throttled,
    TransactWrite,
)
from tillroll.stores.dynamodb_schema import FOLD_KEY, INDEX

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tillroll.stores.dynamodb_http import Reply
    from tillroll.stores.dynamodb_protocol import Call, Item, Value

_COUNT_UPDATE: Final = (
    b'}},"UpdateExpression":"ADD #e :n SET #f = :t, #r = :r",'
    b'"ExpressionAttributeNames":{"#e":"events","#f":"fold","#r":"report"},"ReturnValues":"UPDATED_NEW",'
)
_COUNT_VALUES: Final = b'"ExpressionAttributeValues":{":n":{"N":"'
_COUNT_GUARD: Final = b'"ConditionExpression":"attribute_not_exists(#f) OR #f < :t",'
_COUNT_GUARDED: Final = _COUNT_UPDATE + _COUNT_GUARD + _COUNT_VALUES
_COUNT_UNGUARDED: Final = _COUNT_UPDATE + _COUNT_VALUES
_encode: Final = msgspec.json.encode
_decode: Final = msgspec.json.decode


def attribute(value: Value) -> dict[str, str]:
    """Return a value with its type, as DynamoDB writes it."""
    if isinstance(value, str):
        return {"S": value}
    if isinstance(value, bytes):
        return {"B": base64.b64encode(value).decode()}
    return {"N": repr(value)}


def value_of(typed: Mapping[str, str]) -> Value:
    """Return what a typed attribute holds. The inverse of `attribute`."""
    ((kind, text),) = typed.items()
    match kind:
        case "S":
            return text
        case "B":
            return base64.b64decode(text)
        case "N":
            return int(text) if text.lstrip("-").isdigit() else float(text)
        case _:
            return str(text)


def item_of(typed: Mapping[str, Mapping[str, str]]) -> Item:
    """Return an item with plain values."""
    return {name: value_of(value) for name, value in typed.items()}


def _typed(item: Item) -> dict[str, dict[str, str]]:
    return {name: attribute(value) for name, value in item.items()}


class Wire:
    """Encodes and decodes for two tables of given names."""

    def __init__(self, aggregates: str, journal: str) -> None:
        self.names = {"aggregates": aggregates, "journal": journal}
        self._count_head = b'{"TableName":%b,"Key":{"datapoint":{"S":' % _encode(aggregates)

    def request(self, call: Call) -> Request:
        """Return the request that makes a call."""
        if isinstance(call, Count):
            return self._count_request(call)
        operation, body = getattr(self, "_" + type(call).__name__.lower())(call)
        return Request(operation, _encode(body))

    def _count_request(self, call: Count) -> Request:
        body = b'%b%b%b%d"},":t":{"N":"%d"},":r":{"S":"%b"}}}' % (
            self._count_head,
            _encode(call.datapoint),
            _COUNT_GUARDED if call.guarded else _COUNT_UNGUARDED,
            call.events,
            call.fold,
            call.report.encode(),
        )
        return Request("UpdateItem", body)

    def _get(self, call: Get) -> tuple[str, dict[str, Any]]:
        key = {"datapoint": {"S": call.datapoint}}
        return "GetItem", {"TableName": self.names["aggregates"], "Key": key, "ConsistentRead": True}

    def _batchget(self, call: BatchGet) -> tuple[str, dict[str, Any]]:
        if call.table == "aggregates":
            keys = [{"datapoint": {"S": key}} for key in call.keys]
        else:
            keys = [{"log": {"S": log}, "number": {"N": str(number)}} for log, number in call.keys]
        wanted = {"Keys": keys, "ConsistentRead": True}
        return "BatchGetItem", {"RequestItems": {self.names[call.table]: wanted}}

    def _query(self, call: Query) -> tuple[str, dict[str, Any]]:
        body: dict[str, Any] = {
            "TableName": self.names["journal"],
            "ConsistentRead": True,
            "ScanIndexForward": not call.falling,
            "KeyConditionExpression": "#l = :l",
            "ExpressionAttributeNames": {"#l": "log"},
            "ExpressionAttributeValues": {":l": {"S": call.log}},
        }
        if call.after or not call.falling:
            body["KeyConditionExpression"] += " AND #n < :n" if call.falling else " AND #n > :n"
            body["ExpressionAttributeNames"]["#n"] = "number"
            body["ExpressionAttributeValues"][":n"] = {"N": str(call.after)}
        if call.limit is not None:
            body["Limit"] = call.limit
        if call.count:
            body["Select"] = "COUNT"
        return "Query", body

    def _queryindex(self, call: QueryIndex) -> tuple[str, dict[str, Any]]:
        body: dict[str, Any] = {
            "TableName": self.names["aggregates"],
            "IndexName": INDEX,
            "KeyConditionExpression": "#r = :r AND #d BETWEEN :low AND :high",
            "ExpressionAttributeNames": {"#r": "report", "#d": "datapoint"},
            "ExpressionAttributeValues": {
                ":r": {"S": call.report},
                ":low": {"S": call.low},
                ":high": {"S": call.high},
            },
        }
        if call.after is not None:
            body["ExclusiveStartKey"] = _typed({"report": call.report, "datapoint": call.after})
        return "Query", body

    def _scan(self, call: Scan) -> tuple[str, dict[str, Any]]:
        body: dict[str, Any] = {"TableName": self.names["aggregates"], "ConsistentRead": True}
        if call.segments > 1:
            body |= {"Segment": call.segment, "TotalSegments": call.segments}
        if call.after is not None:
            body["ExclusiveStartKey"] = {"datapoint": {"S": call.after}}
        return "Scan", body

    def _put(self, call: Put) -> tuple[str, dict[str, Any]]:
        body: dict[str, Any] = {"TableName": self.names["journal"], "Item": _typed(call.item)}
        if call.absent:
            body["ConditionExpression"] = "attribute_not_exists(#l)"
            body["ExpressionAttributeNames"] = {"#l": "log"}
        return "PutItem", body

    def _delete(self, call: Delete) -> tuple[str, dict[str, Any]]:
        key: Item = {"log": call.log, "number": call.number}
        return "DeleteItem", {"TableName": self.names["journal"], "Key": _typed(key)}

    def _transactwrite(self, call: TransactWrite) -> tuple[str, dict[str, Any]]:
        writes = [
            {"Put": self._put(write)[1]} if isinstance(write, Put) else {"Delete": self._delete(write)[1]}
            for write in call.writes
        ]
        return "TransactWriteItems", {"TransactItems": writes, "ClientRequestToken": call.token}

    def _movefold(self, call: MoveFold) -> tuple[str, dict[str, Any]]:
        values: dict[str, Value] = {":u": call.upto, ":at": call.at}
        condition = "attribute_not_exists(#u)"
        if call.before:
            condition = "#u = :b"
            values[":b"] = call.before
        return "UpdateItem", {
            "TableName": self.names["aggregates"],
            "Key": {"datapoint": {"S": FOLD_KEY}},
            "UpdateExpression": "SET #u = :u, #at = :at",
            "ConditionExpression": condition,
            "ExpressionAttributeNames": {"#u": "upto", "#at": "folded_at"},
            "ExpressionAttributeValues": _typed(values),
        }

    def _correct(self, call: Correct) -> tuple[str, dict[str, Any]]:
        condition, names, values = "attribute_not_exists(#e)", {"#e": "events"}, {}
        if call.before is not None:
            condition = "#e = :e AND #f = :f" if call.before[1] else "#e = :e AND (#f = :f OR attribute_not_exists(#f))"
            names = {"#e": "events", "#f": "fold"}
            values = {":e": {"N": str(call.before[0])}, ":f": {"N": str(call.before[1])}}
        body: dict[str, Any] = {
            "TableName": self.names["aggregates"],
            "ConditionExpression": condition,
            "ExpressionAttributeNames": names,
        }
        if values:
            body["ExpressionAttributeValues"] = values
        if call.events is None:
            return "DeleteItem", {**body, "Key": {"datapoint": {"S": call.datapoint}}}
        item: Item = {"datapoint": call.datapoint, "events": call.events, "fold": call.fold, "report": call.report}
        return "PutItem", {**body, "Item": _typed(item)}

    def reply(self, call: Call, body: bytes) -> Any:
        """Return what a successful call replies."""
        match call:
            case Get():
                found = _decode(body).get("Item")
                return None if found is None else item_of(found)
            case BatchGet():
                return self._batch_reply(call, _decode(body))
            case Query():
                return _query_reply(_decode(body))
            case QueryIndex():
                data = _decode(body)
                last = data.get("LastEvaluatedKey")
                found = [item["datapoint"]["S"] for item in data.get("Items", [])]
                return IndexReply(found, None if last is None else last["datapoint"]["S"])
            case Scan():
                data = _decode(body)
                last = data.get("LastEvaluatedKey")
                items = [item_of(item) for item in data.get("Items", [])]
                return ScanReply(items, None if last is None else last["datapoint"]["S"])
            case _:
                return None

    def _batch_reply(self, call: BatchGet, data: dict[str, Any]) -> BatchReply:
        name = self.names[call.table]
        left = data.get("UnprocessedKeys", {}).get(name, {}).get("Keys", [])
        keys = [item_of(key) for key in left]
        unprocessed = [key["datapoint"] if call.table == "aggregates" else (key["log"], key["number"]) for key in keys]
        return BatchReply([item_of(item) for item in data.get("Responses", {}).get(name, [])], tuple(unprocessed))


def _query_reply(data: dict[str, Any]) -> QueryReply:
    last = data.get("LastEvaluatedKey")
    items = [item_of(item) for item in data.get("Items", [])]
    return QueryReply(items, None if last is None else int(last["number"]["N"]), data.get("Count", len(items)))


_THROTTLES: Final = frozenset(
    {
        "ProvisionedThroughputExceededException",
        "ThrottlingException",
        "Throttling",
        "ThrottledException",
        "RequestLimitExceeded",
        "RequestThrottled",
        "RequestThrottledException",
        "LimitExceededException",
        "SlowDown",
        "ThrottlingError",
        "ProvisionedThroughputExceeded",
    }
)
_CONFLICTS: Final = frozenset({"TransactionConflictException", "TransactionConflict", "TransactionInProgressException"})
_CREDENTIALS: Final = frozenset(
    {
        "ExpiredTokenException",
        "ExpiredToken",
        "UnrecognizedClientException",
        "InvalidClientTokenId",
        "MissingAuthenticationTokenException",
        "InvalidSignatureException",
        "IncompleteSignatureException",
    }
)


def fault_of(reply: Reply, endpoint: str, tables: Mapping[str, str]) -> Fault:
    """Return what an error reply means for the call.

    Raises:
        StoreError: somebody has to act before the call can succeed.
    """
    try:
        data = _decode(reply.body)
        code = str(data.get("__type", "")).rpartition("#")[2]
        message = str(data.get("message") or data.get("Message") or "")
    except (msgspec.DecodeError, AttributeError):
        data, code, message = {}, "", ""
    if code == "ConditionalCheckFailedException":
        return ConditionFailed(message)
    if code == "TransactionCanceledException":
        return _cancelled(data, message)
    if code in _CONFLICTS:
        return Conflict(message)
    if code in _THROTTLES or reply.status == 429:
        return Throttled(f"{code}: {message}")
    if reply.status >= 500:
        return ReplyLost(f"{reply.status} {code}: {message}")
    raise _must_act(code, message, endpoint, tables)


def _cancelled(data: dict[str, Any], message: str) -> Fault:
    codes = {str(reason.get("Code")) for reason in data.get("CancellationReasons", [])} - {"None"}
    if not codes:  # only the text tells
        codes = {text.strip() for text in message.partition("[")[2].partition("]")[0].split(",")} - {"None"}
    if codes & {"ConditionalCheckFailed"}:
        return ConditionFailed(message)
    if codes & _CONFLICTS:
        return Conflict(message)
    if codes & _THROTTLES:
        return Throttled(message)
    raise StoreError(f"DynamoDB refused a transaction: {message}", "This is a fault of tillroll; please report it")


def _must_act(code: str, message: str, endpoint: str, tables: Mapping[str, str]) -> StoreError:
    both = " and ".join(tables.values())
    if code == "ResourceNotFoundException":
        problem = f"the tables {both} are not both at {endpoint}"
        return StoreError(
            problem, "Check their names and the region in the store's address, or run tillroll aws deploy"
        )
    if code in _CREDENTIALS:
        problem = f"AWS does not accept the credentials ({code}: {message})"
        return StoreError(problem, "Renew them, or choose another profile with AWS_PROFILE; check this machine's clock")
    if code == "AccessDeniedException":
        problem = f"these credentials may not do this ({message})"
        return StoreError(problem, "Use the role that the deployment made for this work; see the outputs of the stack")
    problem = f"DynamoDB refused a request ({code or 'without a reason'}: {message})"
    return StoreError(problem, f"Check that {both} were made by tillroll aws deploy")
