"""A sample by hash of the id."""

import pyarrow as pa

from monitor.sources.ids import hash_texts


def sample(table: pa.Table, ids: pa.Array, keep: int) -> tuple[pa.Table, float]:
    """Return at most `keep` rows and their share of all.

    A row is kept when the hash of its id ends in k zero bits, with the smallest k that fits: nothing else in
    the window but k has a say, and a smaller sample lies within a larger one.
    """
    rows = table.num_rows
    if rows <= keep:
        return table, 1.0
    hashes = hash_texts(ids)
    mask = 0
    kept = hashes == hashes
    while kept.sum() > keep and mask < 2**63 - 1:
        mask = mask * 2 + 1
        kept = (hashes & mask) == 0
    return table.filter(pa.array(kept)), float(kept.sum()) / rows
