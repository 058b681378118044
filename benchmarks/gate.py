"""How often the gate blocks a candidate for a segment: where nothing is worse by chance, where one segment is.

And how often it passes an equal one whose difference to the champion lasts for many rows: at one look, at any of ten.
"""

import numpy as np
from scipy.signal import lfilter

from benchmarks.rows import Asked, Row
from monitor.cli.terminal import progress
from monitor.config.sections import GateSection
from monitor.gate.gate_verdict import gate
from monitor.gate.paired_difference import Pair, improvements
from monitor.performance.labelled_rows import Answers
from monitor.records import ScoreStatus
from monitor.tables.columns import Floats, Numbers

SEGMENTS, ROWS = 20, 500          # rows of each segment
RATE, CAUGHT = 0.05, 0.8
WORSE = 0.05                      # points of accuracy
CANDIDATES, SLOWLY = 100, 1000    # of each kind; so many that a rate of 5 % is told from one of 7 %
DIFFER = (0.02, 0.05, 0.1, 0.2)   # shares of rows where one is right and the other wrong
DIFFER_WORSE = (0.05, 0.07, 0.09, 0.1, 0.12)
ACCURACY = 0.8
ALIKE = ((1000, 0.0), (2000, 0.9), (2000, 0.98), (2000, 0.995), (10_000, 0.0), (10_000, 0.98), (10_000, 0.995))
LOOKS = 10                        # as rows arrive, at equal distances


def blocked(asked: Asked) -> list[Row]:
    """Share of candidates that a segment blocks: equal ones by three metrics, then ones with one worse segment."""
    cases = [*(("accuracy", differ, 0.0) for differ in DIFFER), ("roc_auc", 0.1, 0.0), ("rmse", 0.1, 0.0),
             *(("accuracy", differ, WORSE) for differ in DIFFER_WORSE)]
    with progress("gate") as report:
        found = []
        for at, case in enumerate(cases):
            report(at, len(cases))
            found.append(_row(*case, SLOWLY if asked.slow else CANDIDATES))
    return found


def _row(metric: str, differ: float, worse: float, candidates: int) -> Row:
    chance = np.random.default_rng(7)
    said = np.array([_judge(metric, *_candidate(chance, metric, differ, worse)) for _ in range(candidates)])
    rate, looks, better = said.mean(axis=0)
    what = f"one segment {100 * worse:.0f} points worse" if worse else f"equal, {metric}"
    also = {"by the point estimate": looks, "shown to be better": better}
    goal = f"≥ {CAUGHT:g}" if worse else f"≤ {RATE:g}"
    return Row(what=f"{what}, differing on {differ:.0%} of rows", value=rate, ratio=rate / looks, also=also, goal=goal)


def _judge(metric: str, pair: Pair, worse: bool) -> tuple[bool, bool, bool]:
    """Whether a segment blocks (of a worse candidate: that segment), whether one looks worse, and the whole better."""
    place = np.arange(len(pair)) % SEGMENTS
    masks = [(f"s={one}", place == one) for one in range(SEGMENTS)]
    verdict = gate(*improvements(metric, pair, masks, 100), [], [], GateSection())
    segments = verdict.segments[:1] if worse else verdict.segments
    blocks = any(score.status is ScoreStatus.BREACHED for score in segments)
    return blocks, any((score.value or 0.0) < 0 for score in segments), verdict.overall.status is ScoreStatus.OK


def _candidate(chance: np.random.Generator, metric: str, differ: float, worse: float) -> tuple[Pair, bool]:
    """Champion and candidate in every order of segments; the first one may be worse for the candidate."""
    rows = SEGMENTS * ROWS
    lost = np.where(np.arange(rows) % SEGMENTS == 0, worse, 0.0)
    draw = chance.random(rows)
    champion_alone = draw < (differ + lost) / 2
    candidate_alone = ~champion_alone & (draw < differ)
    both = ~champion_alone & ~candidate_alone & (chance.random(rows) < (ACCURACY - differ / 2) / (1 - differ))
    truth = chance.integers(0, 2, rows)
    pair = [_answers(chance, metric, truth, both | alone) for alone in (champion_alone, candidate_alone)]
    return Pair(*pair), worse > 0


def _answers(chance: np.random.Generator, metric: str, truth: Numbers, right: Numbers) -> Answers:
    at = np.arange(len(truth))
    if metric == "rmse":
        return Answers("regression", (), truth.astype(float), truth + chance.normal(0, np.where(right, 0.5, 1.5)), at)
    said = np.where(right, truth, 1 - truth)
    probability: Floats = 0.5 + (said - 0.5) * chance.random(len(truth))
    return Answers("binary", ("0", "1"), truth, said, at, probability)


def passed(asked: Asked) -> list[Row]:
    """Share of equal candidates that are passed, their differences an AR(1): at the last look, and at any of ten."""
    with progress("gate") as report:
        found = []
        for at, case in enumerate(ALIKE):
            report(at, len(ALIKE))
            found.append(_passed(*case, SLOWLY if asked.slow else CANDIDATES))
    return found


def _passed(rows: int, phi: float, candidates: int) -> Row:
    chance = np.random.default_rng(7)
    said = np.array([_looks(_alike(chance, rows, phi)) for _ in range(candidates)])
    once, always = said[:, 0, -1], said[:, 1].any(axis=1)
    also = {"ten looks, each as if the only one": said[:, 0].any(axis=1).mean(), "ten looks, repeated": always.mean()}
    rate = float(once.mean())
    return Row(what=f"{rows:,} rows, φ = {phi:g}", value=rate, ratio=rate / RATE, also=also, goal="≤ 0.06")


def _looks(pair: Pair) -> list[list[bool]]:
    """Whether each look shows the candidate better: at bounds for one look, at those for all."""
    places = [np.arange(len(pair) * look // LOOKS) for look in range(1, LOOKS + 1)]
    found = [[improvements("mae", pair.take(place), [], 100, repeated=more)[0] for place in places]
             for more in (False, True)]
    return [[score.low is not None and score.low > 0 for score in scores] for scores in found]


def _alike(chance: np.random.Generator, rows: int, phi: float) -> Pair:
    """Two models whose absolute errors differ by an AR(1) of mean zero."""
    noise = chance.normal(size=rows)
    noise[0] /= np.sqrt(1 - phi**2)
    better = lfilter([1], [1, -phi], noise) * np.sqrt(1 - phi**2)
    truth, at = np.zeros(rows), np.arange(rows)
    errors = 10 + better / 2, 10 - better / 2
    return Pair(*(Answers("regression", (), truth, error, at) for error in errors))
