"""The two tables as a deployment makes them, which a test compares with its template."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from tillroll.stores.dynamodb.schema import INDEX

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

AGGREGATES_TABLE: Final[dict[str, Any]] = {
    "AttributeDefinitions": [
        {"AttributeName": "datapoint", "AttributeType": "S"},
        {"AttributeName": "shard", "AttributeType": "S"},
    ],
    "KeySchema": [{"AttributeName": "datapoint", "KeyType": "HASH"}],
    "GlobalSecondaryIndexes": [
        {
            "IndexName": INDEX,
            "KeySchema": [
                {"AttributeName": "shard", "KeyType": "HASH"},
                {"AttributeName": "datapoint", "KeyType": "RANGE"},
            ],
            "Projection": {"ProjectionType": "KEYS_ONLY"},
        }
    ],
    "BillingMode": "PAY_PER_REQUEST",
}
JOURNAL_TABLE: Final[dict[str, Any]] = {
    "AttributeDefinitions": [
        {"AttributeName": "log", "AttributeType": "S"},
        {"AttributeName": "number", "AttributeType": "N"},
    ],
    "KeySchema": [
        {"AttributeName": "log", "KeyType": "HASH"},
        {"AttributeName": "number", "KeyType": "RANGE"},
    ],
    "BillingMode": "PAY_PER_REQUEST",
}


def create_tables(client: DynamoDBClient, aggregates: str, journal: str) -> None:
    """Make both tables, on demand, and wait until they can be used. A table that exists is left as it is."""
    for name, schema in ((aggregates, AGGREGATES_TABLE), (journal, JOURNAL_TABLE)):
        try:
            client.create_table(TableName=name, **schema)
        except client.exceptions.ResourceInUseException:
            continue
    for name in (aggregates, journal):
        client.get_waiter("table_exists").wait(TableName=name, WaiterConfig={"Delay": 1})
