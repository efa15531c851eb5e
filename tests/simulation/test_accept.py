"""The simulator's own premise: what it sends is what the product reads, however events are carried and named."""

from __future__ import annotations

from random import Random

import pytest
from tests.simulation.deliveries import Senders
from tests.simulation.oracle import identity_of
from tests.simulation.scheduler import STARTED_AT
from tests.simulation.witness import journaled

from tillroll.core import chunk
from tillroll.core.accept import accept


@pytest.mark.parametrize("block", range(4))
def test_every_event_is_read_as_it_was_sent_and_comes_out_of_a_chunk_the_same(block: int) -> None:
    for seed in range(500 * block, 500 * block + 500):
        senders = Senders(Random(seed))
        deliveries = [senders.draw() for _ in range(3)]
        batch = accept([delivery.body for delivery in deliveries], STARTED_AT).batch
        sent = [
            (identity_of(purchase, delivery.carrier(index)), purchase)
            for delivery in deliveries
            for index, purchase in enumerate(delivery.purchases)
            if purchase is not None
        ]
        assert list(journaled(batch)) == sent, seed
        if sent:
            assert list(journaled(chunk.decode(chunk.encode(batch)))) == sent, seed
