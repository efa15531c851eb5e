"""Every bound the product enforces, with who imposes it.

Sizes are bytes, times seconds, unless the name says otherwise.
"""

from typing import Final

# The contract's own bounds on an event.
METHODS: Final = ("PAY_NOW", "PAY_LATER", "SLICE_IT")  # of payment; an event holds an index into them
AMOUNT_MAX: Final = 10**12  # cents
NAME_CHARACTERS_MAX: Final = 128  # of a merchantId, an id, an Idempotency-Key
FUTURE_S_MAX: Final = 86_400  # a purchase dated further ahead than this is a wrong clock, not a purchase

# The contract's on kept fields.
KEPT_VALUE_BYTES_MAX: Final = 256  # of a text as JSON writes it, its quotes too
KEPT_NUMBER_MAX: Final = 10**18
KEPT_FIELDS_MAX: Final = 256  # ours

# Ours, on one HTTP request.
BODY_BYTES_MAX: Final = 16 * 2**20  # after decompression; a larger set of events is a file to import
BODY_EVENTS_MAX: Final = 100_000
LINE_BYTES_MAX: Final = 1 * 2**20  # one event; SQS allows a message no more (1 MiB), so neither do we
HEADER_BYTES_MAX: Final = 16 * 2**10
REQUEST_S_MAX: Final = 30  # from the first byte of a request to its last
REJECTED_LISTED_MAX: Final = 1_000  # outcomes spelled out in one reply; the counts are always whole

# Ours, on what waits for its commit: past this the server answers 503 rather than grow.
WAITING_BYTES_MAX: Final = 64 * 2**20  # of bodies up to 1 MiB; and as much of larger ones
WAITING_REQUESTS_MAX: Final = 10_000

# Ours, on answers.
PATH_BYTES_MAX: Final = 4_096  # of an address: the longest datapoint, percent-encoded, is within it
PAGE_MAX: Final = 10_000  # datapoints in one page of a report
PAGE_DEFAULT: Final = 1_000
DATAPOINTS_MAX: Final = 1_000  # in one batch read
FILTER_VALUES_MAX: Final = 100
STREAMS_MAX: Final = 200  # pages that watch; of few connections at most a quarter

# Journal chunks. DynamoDB allows an item 400 KB; half leaves room for keys and a poor ratio.
CHUNK_BYTES_MAX: Final = 200_000
CHUNK_EVENTS_MAX: Final = 1 << 20  # a decoder allocates by this count, so it is bounded before anything else
