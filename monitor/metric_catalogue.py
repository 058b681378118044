"""Every metric there is: what it means, its unit, which way is better, what it needs, and where it may be used.

Configuration, votes, memory, exporter, report and the tables of docs/metrics.md are derived from these rows. How a
metric is worked out stands elsewhere: a function that yields its Scores.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Literal, TypeVar

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

Numbers = TypeVar("Numbers", float, "npt.NDArray[np.float64]")
Task = Literal["binary", "multiclass", "regression"]
Label = Literal["method", "column", "segment"]      # of a Score, and of its series in Prometheus

ESTIMATED = "estimated_"        # begins the name of each estimate of a performance metric


class Group(StrEnum):
    """What a metric is about: the chapters of the documentation's table."""

    QUALITY = "How whole the data are"
    DRIFT = "Drift"
    PERFORMANCE = "Performance on labelled rows"
    PERFORMANCE_LOST = "Whether the model is worse than on the reference"
    RATE = "Rates of groups of people"
    FAIRNESS = "Fairness between groups of people"
    ESTIMATE = "Performance estimated before labels come"
    REHEARSAL = "What a new model would gain"
    EARLIER = "What a version that served before would gain"
    DECISION = "What decisions rest on"
    GATE = "The gate's answer"


class Unit(StrEnum):
    SHARE = "share, 0 to 1"
    COUNT = "count"
    SECONDS = "seconds"
    LABEL = "the label's"
    METRIC = "the model's metric's"
    REGRET = "reference sd × windows"
    METHOD = "its method's"         # a distance or a p-value
    PLAIN = "number"


class Better(StrEnum):
    HIGHER = "higher"
    LOWER = "lower"
    ZERO = "nearest zero"
    NONE = ""


class Need(StrEnum):
    """What must be there, beside rows and a reference, before a metric can be told."""

    LABELS = "labels"
    PROBABILITY = "a probability column"
    TEXT = "a text column"
    TOGETHER = "`drift.multivariate` or `drift.embeddings`"
    PROTECTED = "`fairness.columns`"
    REHEARSAL = "`rehearsal`"
    VERSIONS = "`versions`"
    ESTIMATION = "`estimation`"
    PROMOTION = "a promotion"
    CANDIDATE = "a candidate"


class Use(StrEnum):
    ALERT = "alert"                 # a trigger's metric
    RETRAIN = "retrain"             # … also of a trigger that asks for a retrain
    JUDGE = "judge"                 # the one number a model is judged by
    LIMIT = "limit"                 # of the gate
    REPORT = "report"               # drawn over time in the governance report


TRIGGERS = (Use.ALERT, Use.RETRAIN)
SHOWN = (*TRIGGERS, Use.REPORT)


@dataclass(frozen=True, slots=True)
class Metric:
    """One row of the catalogue."""

    name: str
    group: Group
    unit: Unit
    better: Better
    meaning: str                        # one sentence
    labels: tuple[Label, ...] = ()      # that tell its Scores of one window apart
    needs: tuple[Need, ...] = ()
    tasks: tuple[Task, ...] = ("binary", "multiclass", "regression")
    uses: tuple[Use, ...] = TRIGGERS
    judged: bool = False                # its Scores have a verdict of their own: `drifted` goes with it
    remembered: bool = False            # decisions look back on it, whether or not a trigger names it
    of_source: bool = False             # breached says that the source is bad, not the data
    of_version: bool = False            # tells of the version in service, and nothing of another
    replayed: bool = False              # is measured on the reference's own windows, to tell its false alarms …
    untold: str | None = None           # … or why it cannot be
    estimable: tuple[Task, ...] = ()    # models of which it can be estimated without labels
    estimate_of: str | None = None      # the metric that is estimated

    @property
    def higher_is_better(self) -> bool:
        return self.better is Better.HIGHER

    @property
    def signed(self) -> bool:
        """Whether it is best at zero, so that its size is judged."""
        return self.better is Better.ZERO

    @property
    def needs_probability(self) -> bool:
        return Need.PROBABILITY in self.needs


_BINARY: tuple[Task, ...] = ("binary",)
_CLASSES: tuple[Task, ...] = ("binary", "multiclass")
_REGRESSION: tuple[Task, ...] = ("regression",)
_HIGHER, _LOWER, _NONE = Better.HIGHER, Better.LOWER, Better.NONE
_LABELS: tuple[Need, ...] = (Need.LABELS,)
_OF_COLUMN: tuple[Label, ...] = ("column",)
_BY_METHOD: tuple[Label, ...] = ("method", "column")
_NEW_VALUES = "a reference holds no value it never had"
_ALONE = "it is judged at a level of its own"
_ARRIVAL = "a reference does not say when its rows came"

_QUALITY = (
    Metric("missing_share", Group.QUALITY, Unit.SHARE, _LOWER, "Share of a column's values that are missing.",
           labels=_OF_COLUMN, remembered=True, replayed=True),
    Metric("unseen_share", Group.QUALITY, Unit.SHARE, _LOWER,
           "Share of a categorical column's values that the reference never had.",
           labels=_OF_COLUMN, untold=_NEW_VALUES),
    Metric("out_of_range_share", Group.QUALITY, Unit.SHARE, _LOWER,
           "Share of a numerical column's values below the reference's smallest or above its largest.",
           labels=_OF_COLUMN, untold=_NEW_VALUES),
    Metric("schema_changes", Group.QUALITY, Unit.COUNT, _LOWER,
           "Columns that are missing, or changed between number, text and time.",
           remembered=True, untold="a reference has the columns it has"),
    Metric("lost_rows_share", Group.QUALITY, Unit.SHARE, _LOWER,
           "Share of the rows that cannot be used: without a timestamp, with one far from all others, or contradicted "
           "by a later row of the same id and time.", uses=SHOWN, remembered=True,
           untold="a reference holds only rows that could be used"),
    Metric("unmatched_labels_share", Group.QUALITY, Unit.SHARE, _LOWER,
           "Share of the ids with a label, kept apart, that no row of the log has.",
           needs=_LABELS, uses=SHOWN, untold=_ARRIVAL),
    Metric("label_coverage", Group.QUALITY, Unit.SHARE, _HIGHER, "Share of the rows that have a label.",
           needs=_LABELS, uses=SHOWN, replayed=True),
    Metric("never_labelled_share", Group.QUALITY, Unit.SHARE, _NONE,
           "Share without a label of the rows whose label is overdue; drifted where it differs from the reference's "
           "by more than three standard errors, bursts taken into account.",
           needs=_LABELS, judged=True, replayed=True),
    Metric("labels_lost", Group.QUALITY, Unit.SHARE, _LOWER,
           "Share without a label of the rows whose label is overdue; drifted where it is beyond three standard errors "
           "above the reference's, and a tenth of the labels that used to come are missing.",
           needs=_LABELS, uses=(Use.ALERT,), judged=True, untold=_ALONE),
    Metric("prediction_collapse", Group.QUALITY, Unit.SHARE, _LOWER,
           "Share of the most frequent prediction, or probability; drifted where nearly all rows have the same.",
           labels=_OF_COLUMN, uses=(Use.ALERT,), judged=True, untold=_ALONE),
    Metric("rows", Group.QUALITY, Unit.COUNT, _NONE, "Rows of the window.",
           uses=SHOWN, of_source=True, replayed=True),
    Metric("late_rows", Group.QUALITY, Unit.COUNT, _LOWER, "Rows that came after the window's first check.",
           of_source=True, untold=_ARRIVAL),
    Metric("staleness_seconds", Group.QUALITY, Unit.SECONDS, _LOWER, "Age of the newest row of the log.",
           of_source=True, untold=_ARRIVAL),
)
_DRIFT = (
    Metric("drift", Group.DRIFT, Unit.METHOD, _NONE,
           "How far a feature's values are from the reference's; of a text column how well a classifier tells its "
           "texts from the reference's (Evidently's number).", labels=_BY_METHOD, judged=True),
    Metric("text_length_drift", Group.DRIFT, Unit.METHOD, _NONE,
           "How far the lengths of a column's texts are from the reference's.",
           labels=_BY_METHOD, needs=(Need.TEXT,), judged=True),
    Metric("unseen_words_share", Group.DRIFT, Unit.SHARE, _LOWER,
           "Share of a text column's words that the reference never had.",
           labels=_OF_COLUMN, needs=(Need.TEXT,), untold=_NEW_VALUES),
    Metric("prediction_drift", Group.DRIFT, Unit.METHOD, _NONE,
           "How far what the model says is from what it said in the reference.",
           labels=_BY_METHOD, judged=True, of_version=True),
    Metric("drifted_share", Group.DRIFT, Unit.SHARE, _LOWER,
           "Share of drifted features among those that could be judged.", uses=SHOWN, judged=True),
    Metric("smallest_shift", Group.DRIFT, Unit.PLAIN, _LOWER,
           "How many standard deviations the mean of the least sensitive column of numbers must move for half of the "
           "windows to be beyond its calibrated threshold.", uses=()),
    Metric("domain_classifier_auc", Group.DRIFT, Unit.SHARE, _LOWER,
           "How well a classifier tells the window from the reference by all features together, or by one embedding "
           "(column); 0.5 where it cannot.", labels=_OF_COLUMN, needs=(Need.TOGETHER,), judged=True),
    Metric("pca_reconstruction_error", Group.DRIFT, Unit.PLAIN, _LOWER,
           "Mean distance of rows to what the reference's main components can say of them, by all features together, "
           "or by one embedding (column).", labels=_OF_COLUMN, needs=(Need.TOGETHER,), judged=True),
)


def _performance(
    name: str, tasks: tuple[Task, ...], better: Better, meaning: str, *, unit: Unit = Unit.SHARE,
    needs: tuple[Need, ...] = _LABELS, estimable: tuple[Task, ...] = (),
) -> Metric:
    return Metric(name, Group.PERFORMANCE, unit, better, meaning, labels=("segment",), needs=needs, tasks=tasks,
                  uses=(*TRIGGERS, Use.JUDGE, Use.REPORT), replayed=True, estimable=estimable)


_CHANCES = (Need.LABELS, Need.PROBABILITY)
_PERFORMANCE = (
    _performance("accuracy", _CLASSES, _HIGHER, "Share of right predictions.", estimable=_CLASSES),
    _performance("balanced_accuracy", _CLASSES, _HIGHER, "Mean over the classes of the recall.", estimable=_BINARY),
    _performance("precision", _CLASSES, _HIGHER, "Share of right ones among positive predictions; of more than two "
                 "classes the mean over them.", estimable=_BINARY),
    _performance("recall", _CLASSES, _HIGHER, "Share of positive labels that are predicted; of more than two classes "
                 "the mean over them.", estimable=_BINARY),
    _performance("f1", _CLASSES, _HIGHER, "Harmonic mean of precision and recall; of more than two classes the mean "
                 "over them.", estimable=_BINARY),
    _performance("specificity", _BINARY, _HIGHER, "Share of negative labels that are predicted.", estimable=_BINARY),
    _performance("roc_auc", _CLASSES, _HIGHER, "How often a positive row has a higher probability than a negative "
                 "one; of more than two classes the mean of each against the rest.", needs=_CHANCES,
                 estimable=_CLASSES),
    _performance("average_precision", _BINARY, _HIGHER, "Mean precision over the thresholds, weighted by what each "
                 "adds to the recall.", needs=_CHANCES, estimable=_BINARY),
    _performance("log_loss", _CLASSES, _LOWER, "Mean negative logarithm of the probability of the label.",
                 unit=Unit.PLAIN, needs=_CHANCES, estimable=_CLASSES),
    _performance("brier", _BINARY, _LOWER, "Mean squared error of the probability.", needs=_CHANCES,
                 estimable=_BINARY),
    _performance("mae", _REGRESSION, _LOWER, "Mean size of the error.", unit=Unit.LABEL, estimable=_REGRESSION),
    _performance("rmse", _REGRESSION, _LOWER, "Root of the mean squared error.", unit=Unit.LABEL,
                 estimable=_REGRESSION),
    _performance("r2", _REGRESSION, _HIGHER, "Share of the labels' variance that the predictions explain.",
                 unit=Unit.PLAIN),
    _performance("mape", _REGRESSION, _LOWER, "Mean size of the error as a share of the label, rows with a label of "
                 "zero left out.", unit=Unit.PLAIN, estimable=_REGRESSION),
    _performance("bias", _REGRESSION, Better.ZERO, "Mean error, above zero where predictions are too high.",
                 unit=Unit.LABEL),
)
_LOST = (
    Metric("performance_lost", Group.PERFORMANCE_LOST, Unit.METRIC, _NONE,
           "The model's metric (`method`), compared with the reference's windows; drifted where it is worse than 99 % "
           "of them would be, or where the 99 % interval of the model's skill holds a guess.",
           labels=("method",), needs=_LABELS, uses=(Use.ALERT,), judged=True, of_version=True, untold=_ALONE),
    Metric("lost_to", Group.PERFORMANCE_LOST, Unit.METRIC, _LOWER,
           "Where performance is lost: how much of that is due to broken columns, other inputs, other shares of the "
           "labels, or another relation of labels to inputs (`method`), and to which columns or rows; drifted where "
           "that is certain.", labels=("method", "column", "segment"), needs=_LABELS, uses=(), judged=True),
)


def _rate(name: str, meaning: str, needs: tuple[Need, ...]) -> Metric:
    return Metric(name, Group.RATE, Unit.SHARE, _NONE, meaning, labels=("method", "segment"),
                  needs=(Need.PROTECTED, *needs), tasks=_BINARY, replayed=True)


def _fairness(name: str, better: Better, meaning: str, needs: tuple[Need, ...]) -> Metric:
    return Metric(name, Group.FAIRNESS, Unit.SHARE, better, meaning, labels=("segment",),
                  needs=(Need.PROTECTED, *needs), tasks=_BINARY, uses=(*TRIGGERS, Use.LIMIT), replayed=True)


_RATES = (
    _rate("selection_rate", "Share of a group's rows that get the positive answer.", ()),
    _rate("true_positive_rate", "Share of a group's positive labels that get the positive answer.", _LABELS),
    _rate("false_positive_rate", "Share of a group's negative labels that get the positive answer.", _LABELS),
)
_FAIRNESS = (
    _fairness("demographic_parity_difference", _LOWER, "Largest less smallest selection rate.", ()),
    _fairness("demographic_parity_ratio", _HIGHER, "Smallest over largest selection rate.", ()),
    _fairness("equal_opportunity_difference", _LOWER, "Largest less smallest true positive rate.", _LABELS),
    _fairness("equal_opportunity_ratio", _HIGHER, "Smallest over largest true positive rate.", _LABELS),
    _fairness("equalised_odds_difference", _LOWER, "Largest less smallest true or false positive rate, whichever "
              "is larger.", _LABELS),
    _fairness("equalised_odds_ratio", _HIGHER, "Smallest over largest true or false positive rate, whichever is "
              "smaller.", _LABELS),
)
_ESTIMATES = tuple(
    Metric(ESTIMATED + of.name, Group.ESTIMATE, of.unit, of.better,
           f"`{of.name}` of all rows that have a prediction, estimated without their labels.", labels=("method",),
           needs=(Need.ESTIMATION, *((Need.PROBABILITY,) if of.estimable != _REGRESSION else ())), tasks=of.estimable,
           uses=(Use.ALERT, Use.REPORT), judged=True, of_version=True, estimate_of=of.name)
    for of in _PERFORMANCE if of.estimable
)


def _rehearsed(name: str, meaning: str, *, of_version: bool = False) -> Metric:
    return Metric(name, Group.REHEARSAL, Unit.METRIC, _NONE, meaning, labels=("method",),
                  needs=(Need.REHEARSAL, Need.LABELS), remembered=True, of_version=of_version)


_REHEARSAL = (
    _rehearsed("challenger_gain", "How much better a challenger fitted on the rows before the window does on it than "
               "the model in service."),
    _rehearsed("challenger_gap", "How much better a challenger as old as the model in service does on the window: no "
               "gain of a retrain, but of another kind of model.", of_version=True),
    _rehearsed("challenger_placebo", "How much better the window's challenger does than that of the window before: "
               "the noise of a gain."),
)
_EARLIER = (
    Metric("version_gain", Group.EARLIER, Unit.METRIC, _NONE,
           "How much better a version that served before, named by `method`, does than the model in service, on the "
           "same rows of the window.", labels=("method",), needs=(Need.VERSIONS, Need.LABELS), uses=(Use.ALERT,),
           remembered=True, of_version=True, untold="no earlier version predicts the reference's rows"),
)
_DECISION = (
    Metric("metric_sd", Group.DECISION, Unit.METRIC, _NONE,
           "Standard deviation of the model's metric over windows of the reference.",
           labels=("method",), needs=_LABELS, remembered=True),
    Metric("gain_realised", Group.DECISION, Unit.SHARE, _HIGHER,
           "What promotions gained as a share of what their rehearsals had said.", needs=(Need.PROMOTION,)),
    Metric("regret", Group.DECISION, Unit.REGRET, _LOWER,
           "What waiting has cost since the reference or the last accepted request.",
           needs=(Need.REHEARSAL, Need.LABELS), uses=SHOWN),
    Metric("version_regret", Group.DECISION, Unit.REGRET, _LOWER,
           "What not going back to a version that served before (`method`) has cost since the reference or the last "
           "accepted request.", labels=("method",), needs=(Need.VERSIONS, Need.LABELS), uses=(Use.ALERT,),
           untold="no earlier version predicts the reference's rows"),
    Metric("estimate_skill", Group.DECISION, Unit.PLAIN, _HIGHER,
           "1 − the mean error of an estimate / that of the reference's own value, over mature windows; an estimate "
           "counts as validated while `low` is above 0.",
           labels=("method",), needs=(Need.ESTIMATION, Need.LABELS), of_version=True),
    Metric("new_rows", Group.DECISION, Unit.COUNT, _NONE, "Mature labelled rows since the model's data ended.",
           needs=_LABELS),
)
_GATE = (
    Metric("improvement", Group.GATE, Unit.METRIC, _HIGHER,
           "How much better the candidate does than the champion, by the metric that `method` names.",
           labels=("method", "segment"), needs=(Need.CANDIDATE, Need.LABELS), uses=()),
)

CATALOGUE: dict[str, Metric] = {
    row.name: row
    for row in (*_QUALITY, *_DRIFT, *_PERFORMANCE, *_LOST, *_RATES, *_FAIRNESS, *_ESTIMATES, *_REHEARSAL, *_EARLIER,
                *_DECISION, *_GATE)
}


def names(*groups: Group) -> tuple[str, ...]:
    """The metrics of these groups, in the catalogue's order."""
    return tuple(row.name for row in CATALOGUE.values() if row.group in groups)


def names_for(use: Use) -> tuple[str, ...]:
    """The metrics that may be used so."""
    return tuple(row.name for row in CATALOGUE.values() if use in row.uses)


PERFORMANCE = names(Group.PERFORMANCE)
RATES, FAIRNESS = names(Group.RATE), names(Group.FAIRNESS)
OF_GROUPS = (*RATES, *FAIRNESS)         # of people: a segment there is a group
DRIFT, ESTIMATES = names(Group.DRIFT), names(Group.ESTIMATE)
REHEARSED = names(Group.REHEARSAL)


def performance_of(task: Task) -> tuple[str, ...]:
    """The performance metrics of a task."""
    return tuple(name for name in PERFORMANCE if task in CATALOGUE[name].tasks)


def estimable(task: Task) -> tuple[str, ...]:
    """The performance metrics that can be estimated without labels, of a task's models."""
    return tuple(name for name in PERFORMANCE if task in CATALOGUE[name].estimable)


def place(metric: str) -> int:
    """Where a metric stands in the catalogue; one of Evidently's, which are not in it, behind all."""
    return list(CATALOGUE).index(metric) if metric in CATALOGUE else len(CATALOGUE)


METRICS: dict[str, Metric] = {name: CATALOGUE[name] for name in PERFORMANCE}


def default_metric(task: Task, has_probability: bool) -> str:
    """Return the one number a model of this task is judged by unless told otherwise."""
    if task == "binary":
        return "roc_auc" if has_probability else "balanced_accuracy"
    return "rmse" if task == "regression" else "accuracy"


def better_by(metric: str, a: Numbers, b: Numbers) -> Numbers:
    """Return how much better `a` is than `b`, in the metric's own unit; negative where it is worse. Of arrays one by
    one."""
    kind = METRICS[metric]
    if kind.signed:
        a, b = abs(a), abs(b)
    return a - b if kind.higher_is_better else b - a
