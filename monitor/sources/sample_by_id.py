"""A sample by hash of the id."""

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from monitor.sources.ids import hash_texts


def sample(ids: pa.Array, keep: int) -> npt.NDArray[np.bool_]:
    """Return which rows are kept, at most `keep` of them.

    A row is kept when the hash of its id ends in k zero bits, with the smallest k that fits: nothing else in
    the window but k has a say, and a smaller sample lies within a larger one.
    """
    kept = np.ones(len(ids), np.bool_)
    if len(ids) <= keep:
        return kept
    hashes = hash_texts(ids)
    mask = 0
    while kept.sum() > keep and mask < 2**63 - 1:
        mask = mask * 2 + 1
        kept = (hashes & mask) == 0
    return kept
