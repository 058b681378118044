"""A model whose labels no longer follow its inputs: the check says so, in history, page and request alike."""

import numpy as np
import pyarrow as pa

from monitor.decide.why_it_fell import why_it_fell

HOURS = {"per_day": 300}


def _turned(table: pa.Table) -> pa.Table:
    """The labels follow x the other way round."""
    noise = np.random.default_rng(5).normal(0, 1, len(table))
    return table.set_column(table.column_names.index("label"), "label",
                            pa.array(-2 * table["x"].to_numpy() + noise))


def test_a_relation_that_changed_is_named(world, made):
    world.write("reference.parquet", made.rows(-8, 8, label_after=made.HOUR, **HOURS))
    log = made.rows(0, 3, label_after=made.HOUR, **HOURS)
    world.write("log.parquet", pa.concat_tables([log.slice(0, 600), _turned(log.slice(600))]))
    world.model(task="regression", metric="mae", since=made.START)
    world.check(4)
    usual, _, turned, *_ = world.snapshots()
    assert why_it_fell(usual.scores) is None
    told = why_it_fell(turned.scores)
    assert told is not None
    assert "because the same rows get other labels than before" in told
    assert "other rows come" not in told
    parts = [one.value for one in turned.scores if one.metric == "lost_to" and one.column is None]
    mae = next(one for one in turned.scores if one.metric == "mae")
    assert round(sum(parts), 6) == round(mae.value - mae.reference, 6)
