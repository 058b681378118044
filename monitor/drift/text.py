"""Drift of text columns: their content, their length, and words the reference does not have.

Content drift has Evidently's names, values and thresholds: the AUC of a linear classifier of words that separates
texts of the reference from texts of the window. Large data are sampled (`MOST_TEXTS` and `MOST_CHARACTERS` per side,
with a fixed seed), so that a check takes seconds; the Score's reason says so.
"""

import warnings
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from monitor import private
from monitor.config.column_roles import Roles
from monitor.config.drift_methods import METHODS
from monitor.config.sections import ColumnDrift, DriftSection
from monitor.drift.column_scores import column_drift
from monitor.errors import CannotJudge
from monitor.records import Score, ScoreStatus
from monitor.tables import columns
from monitor.tables.columns import Ints
from monitor.tables.groups import draw

MOST_TEXTS = 20_000             # a side; Evidently's classifier of so many takes one to two CPU seconds
MOST_CHARACTERS = 20_000_000    # a side
LARGE = 1000                    # with more reference texts Evidently uses the AUC itself as the threshold
NO_WORD = r"[^\p{L}\p{N}_]+"


def text_scores(
    reference: pa.Table, window: pa.Table, roles: Roles, section: DriftSection, min_rows: int
) -> list[Score]:
    """Compare each text column with the reference's: `drift`, `text_length_drift`, `unseen_words_share`.

    A column that cannot be judged gives one failed or insufficient Score per metric, with its reason.
    """
    names = [name for name, kind in roles.features.items() if kind == "text"]
    return [score for name in names for score in _column(name, reference, window, section, min_rows)]


def content_drift(reference: pa.ChunkedArray, window: pa.ChunkedArray, method: str = "auto") -> tuple[str, float]:
    """Return Evidently's method for these texts (or the one named) and its number, an AUC.

    Missing texts are left out. Raises CannotJudge if a side has no text, and whatever the method raises.
    """
    sides = [_texts(side) for side in (reference, window)]
    name = choose(len(sides[0])) if method == "auto" else method
    # the percentile method has the same value and another threshold, which `limit` computes
    return name, separation_auc(*(_sample(side).to_pylist() for side in sides))


def separation_auc(reference: list[str], window: list[str]) -> float:
    """Return the AUC with which a linear classifier of words, fitted on half of the texts, separates the other half.

    Settings, seeds and halves are those of Evidently's `calculate_text_drift_score`, so the value is the same. Raises
    CannotJudge if a half has texts of one side only, or if no word is in some but not most texts.
    """
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import SGDClassifier
    from sklearn.metrics import roc_auc_score
    from sklearn.model_selection import train_test_split

    texts, sides = [*reference, *window], np.repeat([0, 1], [len(reference), len(window)])
    seen, unseen, fitted, judged = train_test_split(texts, sides, test_size=0.5, random_state=42, shuffle=True)
    if len(set(fitted)) < 2 or len(set(judged)) < 2:
        raise CannotJudge("too few texts to tell the sides apart")
    words = TfidfVectorizer(sublinear_tf=True, max_df=0.5, stop_words="english")
    try:
        counted = words.fit_transform(seen)
    except ValueError:
        raise CannotJudge("there is no word that some texts have and others have not") from None
    classifier = SGDClassifier(alpha=0.0001, max_iter=50, penalty="l1", loss="modified_huber", random_state=42)
    with warnings.catch_warnings(action="ignore"):       # about convergence
        classifier.fit(counted, fitted)
    return float(roc_auc_score(judged, classifier.predict_proba(words.transform(unseen))[:, 1]))


def choose(texts: int) -> str:
    """Return the method Evidently uses for this number of texts in the reference."""
    return "abs_text_content_drift" if texts > LARGE else "perc_text_content_drift"


def limit(method: str, level: float, reference: pa.ChunkedArray, window: pa.ChunkedArray) -> float:
    """Return the AUC above which there is drift.

    The absolute method's level is that AUC. The percentile method's level is a share: that share of 1,000 random
    classifiers has a smaller AUC on as many texts (Evidently's `roc_auc_random_classifier_percentile`).
    """
    if method == "abs_text_content_drift":
        return level
    texts = [len(_sample(_texts(side))) for side in (reference, window)]
    return _guessing(np.repeat([0, 1], texts), level)


def unseen_words(reference: pa.ChunkedArray, window: pa.ChunkedArray) -> tuple[float, float, int]:
    """Return the share of the window's words that the reference lacks, the expected share, and the window's words.

    The expected share is the Good-Turing estimate: the share of the reference's words that are in one text only. A
    word is a run of letters, digits and underscores, in lower case. Raises CannotJudge if a side has no word.
    """
    before, now = (_words(_sample(_texts(side))) for side in (reference, window))
    for words, where in ((before, "reference"), (now, "window")):
        if not words.num_rows:
            raise CannotJudge(f"there is no word in the {where}")
    unseen = pc.invert(pc.is_in(now["word"], pc.unique(before["word"])))
    share = pc.sum(unseen).as_py() / now.num_rows
    return share, _once(before) / before.num_rows, now.num_rows


def _column(
    name: str, reference: pa.Table, window: pa.Table, section: DriftSection, min_rows: int
) -> Iterator[Score]:
    measures = {"drift": _content, "text_length_drift": _length, "unseen_words_share": _unseen}
    for metric, measure in measures.items():
        score = Score(metric=metric, column=name)
        try:
            sides = [_present(table, name, where) for table, where in ((reference, "reference"), (window, "window"))]
            count = len(sides[1]) - sides[1].null_count
            if count < min_rows:
                reason = f"the window has {count} texts, fewer than the {min_rows} required"
                yield replace(score, status=ScoreStatus.INSUFFICIENT, n=count, reason=reason)
                continue
            yield measure(replace(score, n=count), sides[0], sides[1], section)
        except CannotJudge as error:
            yield replace(score, status=ScoreStatus.FAILED, reason=str(error))
        except Exception as error:  # noqa: BLE001  a library may raise anything; one column must not cost the others
            yield replace(score, status=ScoreStatus.FAILED, reason=private.words(error)[:300])


def _content(score: Score, reference: pa.ChunkedArray, window: pa.ChunkedArray, section: DriftSection) -> Score:
    wanted, level = _wanted(str(score.column), section)
    if wanted != "auto" and wanted not in METHODS:
        raise CannotJudge(f'there is no drift method "{wanted}", expected auto or {", ".join(METHODS)}')
    if wanted != "auto" and "text" not in METHODS[wanted].kinds:
        raise CannotJudge(f"{wanted} is not for text columns, and {score.column} is one")
    method, value = content_drift(reference, window, wanted)
    threshold = limit(method, METHODS[method].threshold if level is None else level, reference, window)
    score = replace(score, method=method, reason=_sampled(reference, window))
    return _judged(score, value, threshold, value > threshold)


def _length(score: Score, reference: pa.ChunkedArray, window: pa.ChunkedArray, section: DriftSection) -> Score:
    lengths = [pc.utf8_length(_texts(side)) for side in (reference, window)]
    method, value = column_drift(lengths[0], lengths[1], "numerical")
    means = [pc.mean(side).as_py() for side in lengths]
    reason = f"{means[1]:.4g} characters on average, {means[0]:.4g} in the reference"
    threshold = METHODS[method].threshold
    return _judged(
        replace(score, method=method, reason=reason), value, threshold, METHODS[method].drifted(value, threshold)
    )


def _unseen(score: Score, reference: pa.ChunkedArray, window: pa.ChunkedArray, section: DriftSection) -> Score:
    share, expected, words = unseen_words(reference, window)
    return replace(score, value=share, reference=expected, n=words, reason=_sampled(reference, window))


def _judged(score: Score, value: float, threshold: float, drifted: bool) -> Score:
    return replace(
        score, value=value, threshold=threshold, status=ScoreStatus.DRIFTED if drifted else ScoreStatus.OK
    )


def _wanted(name: str, section: DriftSection) -> tuple[str, float | None]:
    """Return the configured method and level (None: Evidently's): the column's own, else a text method for all."""
    own = section.columns.get(name, ColumnDrift())
    for_all = section.method if section.method in METHODS and "text" in METHODS[section.method].kinds else "auto"
    level = section.threshold if own.threshold is None and for_all != "auto" else own.threshold
    return own.method or for_all, level if isinstance(level, float) else None


def _present(table: pa.Table, name: str, where: str) -> pa.ChunkedArray:
    if name not in table.column_names:
        raise CannotJudge(f"the {where} has no column {name}")
    column = table[name]
    if columns.type_name(column.type) not in ("text", "nothing"):
        raise CannotJudge(f"the {where} holds {columns.type_name(column.type)}, expected text")
    return column.cast(pa.large_string())


def _texts(column: pa.ChunkedArray) -> pa.ChunkedArray:
    texts = column.drop_null()
    if not len(texts):
        raise CannotJudge("every text is missing")
    return texts


def _sample(texts: pa.ChunkedArray) -> pa.ChunkedArray:
    return texts.take(draw(len(texts), _most(texts)))


def _most(texts: pa.ChunkedArray) -> int:
    """Return how many of these texts are used."""
    mean = pc.mean(pc.utf8_length(texts)).as_py()
    return min(MOST_TEXTS, int(MOST_CHARACTERS / max(mean, 1)))


def _sampled(reference: pa.ChunkedArray, window: pa.ChunkedArray) -> str | None:
    """Return a remark on how many texts were used; None if all were."""
    sides = [_texts(side) for side in (reference, window)]
    drawn = [min(len(side), _most(side)) for side in sides]
    if drawn == [len(side) for side in sides]:
        return None
    return f"a sample of {drawn[0]} reference texts and {drawn[1]} of the window's"


def _words(texts: pa.ChunkedArray) -> pa.Table:
    """Return every word with the number of its text."""
    split = pc.split_pattern_regex(pc.utf8_lower(texts.combine_chunks()), NO_WORD)
    words = pa.table({"word": pc.list_flatten(split), "text": pc.list_parent_indices(split)})
    return words.filter(pc.not_equal(words["word"], ""))


def _once(words: pa.Table) -> int:
    """Return the number of words that are in one text only, repetitions included."""
    totals = words.group_by("word", use_threads=False).aggregate([("text", "count_distinct"), ("text", "count")])
    return pc.sum(totals.filter(pc.equal(totals["text_count_distinct"], 1))["text_count"]).as_py() or 0


def _guessing(sides: Ints, level: float) -> float:
    """Return the `level` quantile of the AUC of 1,000 random classifiers, with Evidently's seeds and halves."""
    from scipy.stats import rankdata
    from sklearn.model_selection import train_test_split

    truth = train_test_split(sides, test_size=0.5, random_state=42, shuffle=True)[1]
    ones = int(truth.sum())
    if ones in (0, len(truth)):
        raise CannotJudge("too few texts to tell the sides apart")
    seeds = np.random.RandomState(42).randint(0, 10_000, size=1000)
    ranks = (rankdata(np.random.RandomState(seed).rand(len(truth)))[truth == 1].sum() for seed in seeds)
    areas = [(rank - ones * (ones + 1) / 2) / (ones * (len(truth) - ones)) for rank in ranks]
    return float(np.percentile(areas, 100 * level))
