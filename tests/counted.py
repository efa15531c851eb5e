"""What the fold counts of batches, by datapoint: what stores are held against."""

from __future__ import annotations

from array import array
from collections import Counter
from typing import TYPE_CHECKING

from tillroll.core.fold import codes_of, fold
from tillroll.core.report import FIVE

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tillroll.core.batch import Batch


def count_datapoints(batches: Iterable[Batch]) -> Counter[str]:
    """How many events of the batches each datapoint of each of the five reports counts."""
    counted: Counter[str] = Counter()
    for batch in batches:
        names = batch.merchant_names
        codes = codes_of(batch, array("I", range(len(names))))
        for report, counts in zip(FIVE, fold(FIVE, codes), strict=True):
            for window, code, count in zip(counts.windows, counts.codes, counts.counts, strict=True):
                number, inner = divmod(code, report.inner)
                texts = report.inner_texts(inner)
                texts |= {dimension.name: names[number] for dimension in report.opens}
                if report.window is not None:
                    texts[report.window.name] = report.window.text(window)
                counted[report.datapoint(report.text(texts[name] for name in report.dimensions))] += count
    return counted
