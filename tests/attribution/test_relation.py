"""What the reference says of rows."""

import numpy as np

from monitor.attribution import relation
from monitor.attribution.relation import Sides, chances, means


def test_what_is_learnt_of_a_reference_is_its_own() -> None:
    """Models that stay in memory answer for their own rows, labels and classes only."""
    draw = np.random.default_rng(0)
    x = draw.normal(size=(400, 2))
    sides = [Sides(rows, draw.normal(size=(50, 2)), [False, False]) for rows in (x, x + 1e-9, x)]
    labels = [(x[:, at] > 0).astype(np.int64) for at in (0, 1)]
    asked = [(one, truth, classes) for one in sides for truth in labels for classes in (2, 3)]
    kept = [chances(*ask) for ask in asked]
    errors = [means(sides[0], truth[:, None].astype(float)) for truth in labels]
    for ask, found in zip(asked, kept, strict=True):
        relation._known.clear()
        for one, other in zip(found, chances(*ask), strict=True):
            np.testing.assert_array_equal(one, other)
    for truth, found in zip(labels, errors, strict=True):
        relation._known.clear()
        for one, other in zip(found, means(sides[0], truth[:, None].astype(float)), strict=True):
            np.testing.assert_array_equal(one, other)
