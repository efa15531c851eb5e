"""Calls as DynamoDB's JSON, and its replies as theirs. Pure.

The expressions are fixed texts; only values vary. `Count`, of which a fold makes thousands, is built by hand.
https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/
"""

from __future__ import annotations

import base64
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final

import msgspec

from tillroll.errors import StoreError
from tillroll.stores.dynamodb.calls import (
    BatchGet,
    BatchReply,
    ChunksReply,
    ConditionFailed,
    Conflict,
    Count,
    Delete,
    Discard,
    DropState,
    Fault,
    Get,
    IndexReply,
    NoIndex,
    Put,
    PutState,
    QueryIndex,
    QueryReply,
    QueryTable,
    ReplyLost,
    Scan,
    ScanChunks,
    ScanReply,
    Throttled,
    TransactWrite,
)
from tillroll.stores.dynamodb.http import Request
from tillroll.stores.dynamodb.schema import INDEX, OLD_INDEX, shard_key, shard_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tillroll.stores.dynamodb.calls import Call, Item, Value
    from tillroll.stores.dynamodb.http import Reply

_NAMES: Final = (
    b'"ExpressionAttributeNames":{"#e":"events",%b"#f":"fold","#r":"report","#s":"shard"},"ReturnValues":"UPDATED_OLD",'
)
_WITH_AMOUNT: Final = _NAMES % b'"#a":"amount",'
_ALWAYS: Final = b'#f = :t, #r = :r, #s = :s",'
_ADD: Final = b'"ConditionExpression":"attribute_not_exists(#f) OR (#f >= :b AND #f < :t)",'
_SET: Final = b'"ConditionExpression":"attribute_not_exists(#f) OR #f < :b",'
_UPDATES: Final = {  # by whether it is anew, and whether it has an amount
    (False, False): b'}},"UpdateExpression":"ADD #e :n SET ' + _ALWAYS + _NAMES % b"" + _ADD,
    (False, True): b'}},"UpdateExpression":"ADD #e :n, #a :a SET ' + _ALWAYS + _WITH_AMOUNT + _ADD,
    (True, False): b'}},"UpdateExpression":"SET #e = :n, ' + _ALWAYS + _NAMES % b"" + _SET,
    (True, True): b'}},"UpdateExpression":"SET #e = :n, #a = :a, ' + _ALWAYS + _WITH_AMOUNT + _SET,
}
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
            if text.lstrip("-").isdigit():
                return int(text)
            number = Decimal(text)  # 38 digits: a float would round them
            return int(number) if number == number.to_integral_value() else float(text)
        case _:
            return str(text)


def item_of(typed: Mapping[str, Mapping[str, str]]) -> Item:
    """Return an item with plain values."""
    return {name: value_of(value) for name, value in typed.items()}


def _typed(item: Item) -> dict[str, dict[str, str]]:
    return {name: attribute(value) for name, value in item.items()}


_NO_ITEM: Final = {
    "ConditionExpression": "attribute_not_exists(#k)",
    "ExpressionAttributeNames": {"#k": "datapoint"},
}


def _unchanged(before: Mapping[str, Value | None]) -> dict[str, Any]:
    """Return the condition that an item has these attributes; not those that are None. Of none there is none."""
    compared = {name: value for name, value in before.items() if name != "datapoint"}
    if not compared:
        return {}
    parts = [
        f"attribute_not_exists(#{at})" if value is None else f"#{at} = :{at}"
        for at, value in enumerate(compared.values())
    ]
    values = {f":{at}": attribute(value) for at, value in enumerate(compared.values()) if value is not None}
    return {
        "ConditionExpression": " AND ".join(parts),
        "ExpressionAttributeNames": {f"#{at}": name for at, name in enumerate(compared)},
        **({"ExpressionAttributeValues": values} if values else {}),
    }


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
        body = (
            b'%b%b%b"ExpressionAttributeValues":{":n":{"N":"%d"},%b":b":{"N":"%d"},":t":{"N":"%d"},":r":{"S":"%b"},'
            b'":s":{"S":"%b"}}}'
            % (
                self._count_head,
                _encode(call.datapoint),
                _UPDATES[call.anew, call.amount is not None],
                call.events,
                b"" if call.amount is None else b'":a":{"N":"%d"},' % call.amount,
                call.epoch,
                call.fold,
                call.report.encode(),
                shard_of(call.report, call.datapoint).encode(),
            )
        )
        if call.text is not None:  # its key is a hash, so that none of this stands in it
            body = body.replace(b"#r = :r", b"#r = :r, #x = :x", 1).replace(b'"#r":', b'"#x":"text","#r":', 1)
            body = body.replace(b'":r":', b'":x":{"S":%b},":r":' % _encode(call.text), 1)
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

    def _querytable(self, call: QueryTable) -> tuple[str, dict[str, Any]]:
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
        return "Query", body

    def _queryindex(self, call: QueryIndex) -> tuple[str, dict[str, Any]]:
        index, name, value = OLD_INDEX, "report", call.report
        if call.shard is not None:
            index, name, value = INDEX, "shard", shard_key(call.report, call.shard)
        body: dict[str, Any] = {
            "TableName": self.names["aggregates"],
            "IndexName": index,
            "KeyConditionExpression": "#r = :r AND #d BETWEEN :low AND :high",
            "ExpressionAttributeNames": {"#r": name, "#d": "datapoint"},
            "ExpressionAttributeValues": {
                ":r": {"S": value},
                ":low": {"S": call.low},
                ":high": {"S": call.high},
            },
        }
        if call.limit is not None:
            body["Limit"] = call.limit
        return "Query", body

    def _scan(self, call: Scan) -> tuple[str, dict[str, Any]]:
        body: dict[str, Any] = {"TableName": self.names["aggregates"], "ConsistentRead": True}
        if call.after is not None:
            body["ExclusiveStartKey"] = {"datapoint": {"S": call.after}}
        return "Scan", body

    def _scanchunks(self, call: ScanChunks) -> tuple[str, dict[str, Any]]:
        body: dict[str, Any] = {
            "TableName": self.names["journal"],
            "ConsistentRead": True,
            "FilterExpression": "#e > :e",
            "ProjectionExpression": "#l, #n",
            "ExpressionAttributeNames": {"#e": "entry", "#l": "log", "#n": "number"},
            "ExpressionAttributeValues": {":e": attribute(call.entry)},
        }
        if call.after is not None:
            body["ExclusiveStartKey"] = _typed({"log": call.after[0], "number": call.after[1]})
        return "Scan", body

    def _put(self, call: Put) -> tuple[str, dict[str, Any]]:
        return "PutItem", {
            "TableName": self.names["journal"],
            "Item": _typed(call.item),
            "ConditionExpression": "attribute_not_exists(#l)",
            "ExpressionAttributeNames": {"#l": "log"},
        }

    def _delete(self, call: Delete) -> tuple[str, dict[str, Any]]:
        key: Item = {"log": call.log, "number": call.number}
        condition = {"ConditionExpression": "attribute_exists(#l)", "ExpressionAttributeNames": {"#l": "log"}}
        return "DeleteItem", {
            "TableName": self.names["journal"],
            "Key": _typed(key),
            **(condition if call.must_be else {}),
        }

    def _transactwrite(self, call: TransactWrite) -> tuple[str, dict[str, Any]]:
        writes = [
            {"Put": self._put(write)[1]} if isinstance(write, Put) else {"Delete": self._delete(write)[1]}
            for write in call.writes
        ]
        return "TransactWriteItems", {"TransactItems": writes, "ClientRequestToken": call.token}

    def _putstate(self, call: PutState) -> tuple[str, dict[str, Any]]:
        condition = _unchanged(call.before) if call.before is not None else _NO_ITEM
        return "PutItem", {"TableName": self.names["aggregates"], "Item": _typed(call.item), **condition}

    def _discard(self, call: Discard) -> tuple[str, dict[str, Any]]:
        return "DeleteItem", {
            "TableName": self.names["aggregates"],
            "Key": {"datapoint": {"S": call.datapoint}},
            "ConditionExpression": "attribute_not_exists(#f) OR #f < :b",
            "ExpressionAttributeNames": {"#f": "fold"},
            "ExpressionAttributeValues": {":b": attribute(call.epoch)},
        }

    def _dropstate(self, call: DropState) -> tuple[str, dict[str, Any]]:
        key = {"datapoint": {"S": call.key}}
        return "DeleteItem", {"TableName": self.names["aggregates"], "Key": key, **_unchanged(call.before)}

    def reply(self, call: Call, body: bytes) -> Any:  # noqa: PLR0911 one a kind of call
        """Return what a successful call replies."""
        data = _decode(body or b"{}")
        last, items = data.get("LastEvaluatedKey"), data.get("Items", [])
        match call:
            case Get():
                return item_of(data["Item"]) if "Item" in data else None
            case BatchGet():
                return self._batch_reply(call, data)
            case QueryTable():
                return QueryReply(list(map(item_of, items)), last and int(last["number"]["N"]))
            case QueryIndex():
                return IndexReply([item["datapoint"]["S"] for item in items], last and last["datapoint"]["S"])
            case Scan():
                return ScanReply(list(map(item_of, items)), last and last["datapoint"]["S"])
            case ScanChunks():
                return ChunksReply([_chunk_key(item) for item in items], last and _chunk_key(last))
            case _:
                return None

    def _batch_reply(self, call: BatchGet, data: dict[str, Any]) -> BatchReply:
        name = self.names[call.table]
        left = data.get("UnprocessedKeys", {}).get(name, {}).get("Keys", [])
        keys = [item_of(key) for key in left]
        unprocessed = [key["datapoint"] if call.table == "aggregates" else (key["log"], key["number"]) for key in keys]
        return BatchReply([item_of(item) for item in data.get("Responses", {}).get(name, [])], tuple(unprocessed))


def _chunk_key(typed: Mapping[str, Mapping[str, str]]) -> tuple[str, int]:
    return typed["log"]["S"], int(typed["number"]["N"])


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
    message += f" (request {reply.request_id})" if reply.request_id else ""
    if code in _THROTTLES or reply.status == 429:
        return Throttled(f"{code}: {message}")
    if code == "ValidationException" and ("specified index" in message or "backfilling" in message):
        return NoIndex(message)
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
