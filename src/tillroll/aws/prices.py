"""What AWS asks, in dollars, in eu-west-1 (Ireland), before any free tier: the only place that names a price.

List prices as of November 2024, when DynamoDB's on-demand prices were halved. They change: look at
https://aws.amazon.com/pricing before a decision rests on them.
"""

from __future__ import annotations

from typing import Final

AS_OF: Final = "2024-11"
REGION: Final = "eu-west-1"

MILLION: Final = 1_000_000
WRITE_UNIT: Final = 0.7068 / MILLION  # DynamoDB on demand
READ_UNIT: Final = 0.1415 / MILLION
PROVISIONED_WRITE_HOUR: Final = 0.000735  # of one write unit a second
PROVISIONED_READ_HOUR: Final = 0.000147
STORED_GIGABYTE_MONTH: Final = 0.283
RECOVERY_GIGABYTE_MONTH: Final = 0.2265  # point-in-time recovery
SQS_REQUEST: Final = 0.40 / MILLION  # of up to 64 KiB, standard queue
LAMBDA_REQUEST: Final = 0.20 / MILLION
LAMBDA_GIGABYTE_SECOND: Final = {"arm64": 0.0000133334, "x86_64": 0.0000166667}
API_REQUEST: Final = 3.50 / MILLION  # REST API
LOG_GIGABYTE: Final = 0.57  # ingested by CloudWatch
METRIC_MONTH: Final = 0.30
