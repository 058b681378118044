"""Row 6: harms to the files of the log, the labels and the reference; each gets one clear status, and heals."""

import random
import shutil
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
import pytest

from monitor.check.checker import Checker
from monitor.config import Config, Loaded, ModelSection
from monitor.errors import DriftdError
from monitor.records import Snapshot, Window
from monitor.store import Store
from monitor.workers.pool import Workers

START, DAY, MINUTE = datetime(2026, 1, 5, tzinfo=UTC), timedelta(days=1), timedelta(minutes=1)
PLACES = ("log", "labels", "reference")
FORMATS = ("csv", "jsonl", "parquet", "checked.parquet")       # the last with checksums of its pages
NAMES = ("red", "green", "blue", "grün")
Harm = Callable[[Path, random.Random, Path], None]


def rows(first: int, days: int, seed: int) -> pa.Table:
    """48 rows a day; the model is right in 9 of 10."""
    chance, count = np.random.default_rng(seed), 48 * days
    truth = chance.integers(0, 2, count)
    return pa.table({
        "timestamp": pa.array([START + first * DAY + 30 * n * MINUTE for n in range(count)], pa.timestamp("us", "UTC")),
        "prediction_id": [f"{seed}-{n}" for n in range(count)],
        "x": chance.normal(size=count).round(4), "name": chance.choice(NAMES, count),
        "prediction": np.where(chance.random(count) < 0.9, truth, 1 - truth), "label": truth,
    })


def write(table: pa.Table, path: Path) -> None:
    if path.suffix == ".parquet":
        pq.write_table(table, path, row_group_size=60, write_page_checksum=".checked." in path.name)
    elif path.suffix == ".csv":
        pa.csv.write_csv(table, path)
    else:
        path.write_bytes(table.to_pandas().to_json(orient="records", lines=True, date_format="iso",
                                                   force_ascii=False).encode())


def flip(path: Path, pick: random.Random, other: Path) -> None:
    _flip(path, pick, 0, path.stat().st_size)


def flip_a_header(path: Path, pick: random.Random, other: Path) -> None:
    """In a page's header where there are pages, else in the first line."""
    starts = [0]
    if path.suffix == ".parquet":
        footer = pq.ParquetFile(path).metadata
        columns = [footer.row_group(group).column(place) for group in range(footer.num_row_groups)
                   for place in range(footer.num_columns)]
        starts = [at for one in columns for at in (one.dictionary_page_offset, one.data_page_offset) if at]
    start = pick.choice(starts)
    _flip(path, pick, start, start + 30)


def flip_the_end(path: Path, pick: random.Random, other: Path) -> None:
    """In the footer where there is one, else in the last lines."""
    _flip(path, pick, max(0, path.stat().st_size - 2000), path.stat().st_size)


def _flip(path: Path, pick: random.Random, start: int, end: int) -> None:
    data = bytearray(path.read_bytes())
    data[pick.randrange(start, end)] ^= 1 << pick.randrange(8)
    path.write_bytes(data)


def cut(path: Path, pick: random.Random, other: Path) -> None:
    data = path.read_bytes()
    path.write_bytes(data[:pick.randrange(len(data))])


def empty(path: Path, pick: random.Random, other: Path) -> None:
    path.write_bytes(b"")


def swap(path: Path, pick: random.Random, other: Path) -> None:
    shutil.copyfile(other, path)


def vanish(path: Path, pick: random.Random, other: Path) -> None:
    path.unlink()


def forbid(path: Path, pick: random.Random, other: Path) -> None:
    """No permission, in two forms that hold for root too."""
    path.unlink()
    if pick.random() < 0.5:
        path.mkdir()
    else:
        path.symlink_to(path.with_name("nowhere"))


def garbage(path: Path, pick: random.Random, other: Path) -> None:
    path.write_bytes(pick.randbytes(pick.choice((1, 100, 100_000))))


def scribble(path: Path, pick: random.Random, other: Path) -> None:
    data = bytearray(path.read_bytes())
    at = pick.randrange(len(data))
    data[at:at + 200] = pick.randbytes(len(data[at:at + 200]))
    path.write_bytes(data)


def half_a_row(path: Path, pick: random.Random, other: Path) -> None:
    """A line, or a row group, of which only a part has been appended."""
    data = path.read_bytes()
    line = data[:-1].rsplit(b"\n", 1)[-1] if path.suffix != ".parquet" else data[:900]
    path.write_bytes(data + line[:pick.randrange(1, len(line))])


def encode(path: Path, pick: random.Random, other: Path) -> None:
    if path.suffix == ".parquet":
        return scribble(path, pick, other)
    text = path.read_text(encoding="utf-8")
    path.write_bytes(text.encode(pick.choice(("utf-16", "cp1252", "utf-8-sig", "utf-32", "cp037"))))
    return None


HARMS: tuple[Harm, ...] = (
    flip, flip_a_header, flip_the_end, cut, empty, swap, vanish, forbid, garbage, scribble, half_a_row, encode,
)


class Model:
    """One model, its files of one format in a folder, and a clock that is set by hand."""

    def __init__(self, folder: Path, ending: str, workers: Workers) -> None:
        self.folder, self._workers = folder, workers
        self.paths = {place: folder / f"{place}.{ending}" for place in PLACES}
        section = ModelSection.model_validate({
            "name": "m", "mode": "act", "task": "binary", "since": START, "metric": "accuracy",
            "predictions": {"path": str(self.paths["log"])}, "labels": {"path": str(self.paths["labels"])},
            "reference": {"source": {"path": str(self.paths["reference"])}}, "columns": {"id": "prediction_id"},
            "window": {"size": "1d", "min_rows": 20}, "rehearsal": {"enabled": False},
            "estimation": {"enabled": False}, "retrain": {"pipeline": "p", "min_labels": 0, "cooldown": "0s"},
            "triggers": [{"name": "worse", "metric": "accuracy", "drop": "15%", "action": "retrain"}],
        })
        self._loaded = Loaded(path=folder / "driftd.toml", config=Config(models={"m": section}), hash="c", text="",
                              files=(), origins={}, warnings=())

    def write(self) -> None:
        served, whole = rows(0, 3, 1), rows(-20, 20, 2)
        write(served.drop_columns(["label"]), self.paths["log"])
        write(served.select(["prediction_id", "label"]), self.paths["labels"])
        write(whole, self.paths["reference"])

    def checker(self, store: Store, day: float) -> Checker:
        self.now = START + day * DAY
        return Checker(self._loaded, store, self._workers, lambda: self.now)

    def third(self, store: Store) -> Snapshot | None:
        window = Window(model="m", start=START + 2 * DAY, end=START + 3 * DAY, spec="")
        found = [one for one in store.snapshots.newest_revisions("m") if one.window.start == window.start]
        return found[0] if found else None


@pytest.fixture(scope="module")
def workers() -> Iterator[Workers]:
    with Workers(1, 2048, timedelta(minutes=2)) as made:
        yield made


def seen(snapshot: Snapshot | None) -> object:
    """What a window came to, whichever revision said it and when; None where it was not measured."""
    if snapshot is None:
        return None
    scores = [score for score in snapshot.scores if score.metric != "staleness_seconds"]
    return snapshot.status, snapshot.rows, snapshot.labelled, scores


@pytest.mark.torture(6)
def test_harmed_data_have_a_status_and_heal(
    tmp_path: Path, workers: Workers, effort: Any, seed: int, figure: Any, caplog: Any
) -> None:
    """The third window is checked while a file is harmed, then after it has been put back."""
    pick, times, found = random.Random(seed), effort(8, 200), Counter[str]()
    for number, ending in enumerate(FORMATS):
        model = Model(tmp_path / ending, ending, workers)
        model.folder.mkdir()
        model.write()
        with Store.open(tmp_path / ending / "before") as store:
            model.checker(store, 2).check("m")
        whole = tmp_path / f"whole-{ending}"
        shutil.copytree(model.folder, whole)
        with Store.open(whole / "before") as store:
            model.checker(store, 3).check("m")
            right = seen(model.third(store))
        for turn in range(number, times, len(FORMATS)):
            harm, place = HARMS[turn // len(FORMATS) % len(HARMS)], pick.choice(PLACES)
            found[_harmed(model, whole, right, harm, place, pick)] += 1
    assert "Traceback" not in caplog.text
    assert found["refused"] > 0
    said = ", ".join(f"{count} {what}" for what, count in found.most_common())
    figure(f"{times} harms to CSV, JSON lines and Parquet: {said}; 0 retrains, all others right once healed")


def _harmed(model: Model, whole: Path, right: object, harm: Harm, place: str, pick: random.Random) -> str:
    """Check under one harm and after it; return what was said under it."""
    path, what = model.paths[place], f"{harm.__name__} of {place}: {model.paths[place].suffix}"
    other = model.paths[pick.choice([one for one in PLACES if one != place])]
    shutil.rmtree(model.folder / "state", ignore_errors=True)
    shutil.copytree(model.folder / "before", model.folder / "state")
    harm(path, pick, other)
    with Store.open(model.folder / "state") as store:
        checker = model.checker(store, 3)
        said = _checked(checker, store)
        under = model.third(store)
        if path.name.endswith("checked.parquet") and harm in (flip, flip_a_header, flip_the_end, scribble):
            assert under is None or under.status != "ok" or seen(under) == right, what
        if path.is_dir():
            path.rmdir()
        path.unlink(missing_ok=True)
        shutil.copyfile(whole / path.name, path)
        model.now += 5 * MINUTE / 60     # no rest is over yet
        assert _checked(checker, store) is None, what
        healed, silent = seen(model.third(store)), _is_silent(harm, path)
        assert store.requests.all() == [], what
        if silent and healed != right:   # nobody could know that the rows were others
            return "undetectable"
        assert healed == right, (what, said, seen(under))
        assert checker.check("m") == [], what
    if said is not None:
        assert place in said or "worker" in said, (what, said)
        return "refused"
    if seen(under) == right:
        return "read exactly"
    return "measured again" if under is None or under.status == "ok" else str(under.status.value)


def _is_silent(harm: Harm, path: Path) -> bool:
    """Whether the file may still be a valid one, with other values: nothing in it says what they were."""
    return ".checked." not in path.name and harm in (flip, flip_a_header, flip_the_end, scribble, encode)


def _checked(checker: Checker, store: Store) -> str | None:
    """What the check raised."""
    try:
        checker.check("m")
    except DriftdError as error:
        return str(error)
    return None
