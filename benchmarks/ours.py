"""How driftd measures a window's file, for the benchmarks: the one place that knows which functions do it."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from benchmarks.data import START
from monitor.config.column_roles import FeatureKind, Roles
from monitor.config.sections import ModelSection, QualitySection, ReferenceSection, SourceSection
from monitor.drift.methods import work_out
from monitor.quality.column_checks import missing_score, outside_score
from monitor.records import Window
from monitor.reference.profile import Profile, profile_folder
from monitor.sources import open_source
from monitor.sources.log import Log, reference_rows
from monitor.tables.digest import digest_of

Methods = Mapping[FeatureKind, Sequence[str]]

END = START + timedelta(days=366)


@dataclass(frozen=True, slots=True)
class Kept:
    """The reference's profile, kept as files, and the part of each column."""

    profile: Profile
    roles: Roles


def keep(reference: Path, numbers: Sequence[str], words: Sequence[str]) -> Kept:
    """Make the reference's profile beside its file."""
    features: dict[str, FeatureKind] = dict.fromkeys(numbers, "numerical")
    features |= dict.fromkeys(words, "categorical")
    roles = Roles(timestamp="timestamp", id=None, prediction="prediction", probability=None, label=None,
                  label_timestamp=None, model_version=None, features=features)
    model = _model(reference)
    rows = reference_rows(model, open_source(model.predictions, model.timezone), roles)
    profile = Profile(len(rows.table), lambda: rows, profile_folder(reference.parent / "profiles", str(reference)))
    for name, kind in features.items():
        profile.column(name, kind)
    return Kept(profile, roles)


def measure(file: Path, kept: Kept, methods: Methods, *, quality: bool) -> dict[str, float]:
    """Read a window from its file, a column at a time, and return the number of each method ("column method");
    `quality`: missing values and those outside the reference's range or categories too."""
    return dict(_measured(file, kept, methods, QualitySection() if quality else None))


def _measured(
    file: Path, kept: Kept, methods: Methods, quality: QualitySection | None
) -> Iterator[tuple[str, float]]:
    rows = Log(_model(file), kept.roles, END).window(Window(model="", start=START, end=END, spec=""))
    count = len(rows.sample)
    for name, kind in kept.roles.features.items():
        before, pieces = kept.profile.column(name, kind), rows.pieces(name)
        assert before is not None
        assert pieces is not None
        now = digest_of(pieces, count, kind)
        for method in methods[kind]:
            yield f"{name} {method}", work_out(method, before, now)
        if quality and kind != "text":
            yield f"{name} missing", missing_score(name, before, now, count, quality).value or 0.0
            yield f"{name} outside", outside_score(name, kind, before, now, count).value or 0.0


def _model(file: Path) -> ModelSection:
    return ModelSection(predictions=SourceSection(path=str(file)), reference=ReferenceSection(first=timedelta(days=1)))
