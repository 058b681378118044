"""How often the gate is wrong: blocks a candidate for a segment that is not worse, passes one that is no better."""

import numpy as np
from scipy import signal, stats

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
TRIAL, LOOKS = 3000, 10           # rows of a trial in which neighbours are alike, and looks at it
PERSISTENCE = (0.0, 0.7, 0.9, 0.98, 0.995)


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


def shown_better(asked: Asked) -> list[Row]:
    """Share of candidates that are as good as the champion and shown to be better, beside a t-test on the rows.

    Neighbouring rows are alike: the difference of the losses is an AR(1) with the parameter φ.
    """
    cases = [(phi, 1, False) for phi in PERSISTENCE]
    cases += [(phi, LOOKS, valid) for valid in (False, True) for phi in (0.0, 0.9)]
    with progress("gate") as report:
        found = []
        for at, case in enumerate(cases):
            report(at, len(cases))
            found.append(_passed(*case, SLOWLY if asked.slow else CANDIDATES))
    return found


def _passed(phi: float, looks: int, always_valid: bool, candidates: int) -> Row:
    chance = np.random.default_rng(11)
    said = np.array([_shown(_alike(chance, phi), looks, always_valid) for _ in range(candidates)])
    rate, by_t = said.mean(axis=0)
    how = "one look" if looks == 1 else f"{looks} looks{', always valid' if always_valid else ''}"
    goal = "≤ 0.06" if looks == 1 or always_valid else ""
    return Row(what=f"φ = {phi:g}, {how}", value=rate, ratio=rate / by_t, also={"by a t-test": by_t}, goal=goal)


def _shown(difference: Floats, looks: int, always_valid: bool) -> tuple[bool, bool]:
    """Whether the candidate is shown to be better at any of the looks, by the gate and by a t-test."""
    ours, by_t = False, False
    for look in range(1, looks + 1):
        seen = difference[: len(difference) * look // looks]
        at, truth = np.arange(len(seen)), np.zeros(len(seen))
        pair = Pair(*(Answers("regression", (), truth, 5 + side * seen / 2, at) for side in (1, -1)))
        low = improvements("mae", pair, [], 100, always_valid=always_valid)[0].low
        ours |= low is not None and low > 0
        by_t |= bool(stats.ttest_1samp(seen, 0, alternative="greater").pvalue < RATE)
    return ours, by_t


def _alike(chance: np.random.Generator, phi: float) -> Floats:
    """An AR(1) of the variance 1."""
    shocks = chance.normal(0, np.sqrt(1 - phi**2), TRIAL)
    shocks[0] /= np.sqrt(1 - phi**2)
    return np.asarray(signal.lfilter([1], [1, -phi], shocks))


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
