"""Which move of which column windows of the usual size would show, worked out once for a reference and kept with it."""

from collections import OrderedDict
from collections.abc import Iterator

from monitor.calibration.outlook import Noticed, power_words
from monitor.calibration.reference_blocks import calibration, key_of, watched
from monitor.calibration.smallest_shift import noticed
from monitor.config import ModelSection
from monitor.records import Score, from_json, to_json
from monitor.reference.reference_data import ReferenceData

_kept: OrderedDict[tuple[str, str], tuple[Noticed, ...]] = OrderedDict()
_MOST_KEPT = 8


def power(model: ModelSection, reference: ReferenceData) -> tuple[Noticed, ...]:
    """Return how far each column with a calibrated threshold must move; none where no threshold is calibrated."""
    key = f"power\x1f{key_of(model, reference)}"
    if (reference.id, key) not in _kept:
        stored = reference.profile.kept(key, lambda: to_json(tuple(
            noticed(reference.profile, watched(model, reference), calibration(model, reference))
        )))
        _kept[reference.id, key] = tuple(from_json(Noticed, one) for one in stored)
        while len(_kept) > _MOST_KEPT:
            _kept.popitem(last=False)
    return _kept[reference.id, key]


def power_score(model: ModelSection, reference: ReferenceData) -> Iterator[Score]:
    """Yield the largest shift that a column of numbers needs to be seen, with what is seen of others in words."""
    found = power(model, reference)
    if found:
        shifts = [one.shift for one in found if one.kind == "numerical" and one.shift is not None]
        yield Score(metric="smallest_shift", value=max(shifts, default=None), n=max(one.rows for one in found),
                    reason="; ".join(power_words(found)))
