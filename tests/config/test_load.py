"""Accepted configurations: short forms, defaults, includes, paths, secrets, what is kept of them."""

import os
import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from monitor.config import Config, Loaded, Roles, Secret, find_config, load, missing_secrets, settings, state_dir
from monitor.errors import ConfigError

EXAMPLES = Path(__file__).resolve().parents[2] / "config"
DATA = (
    "exports/a.csv", "reference.csv", "flights/production.parquet", "flights/reference.parquet",
    "logs/churn/a.csv", "logs/demand/a.csv", "references/churn-7.csv", "references/demand-2.csv",
)
MODEL = '[models.m]\npredictions = "."\nreference = "first 30d"\n'


@pytest.fixture
def write(tmp_path: Path):
    """Write a configuration and load it."""
    def write_and_load(text: str, **others: str) -> Loaded:
        for name, content in {"driftd": text, **others}.items():
            (tmp_path / f"{name}.toml").write_text(content, encoding="utf-8")
        return load(tmp_path / "driftd.toml", data=True)
    return write_and_load


def example(name: str, folder: Path) -> Loaded:
    """Load an example beside empty files where it expects data."""
    shutil.copytree((EXAMPLES / name).parent, folder, dirs_exist_ok=True)
    for path in DATA:
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).touch()
    return load(folder / Path(name).name, data=True)


@pytest.mark.parametrize("name", ["minimal.toml", "full.toml", "many-models/driftd.toml"])
def test_examples_load_and_survive_a_round_trip(name: str, tmp_path: Path) -> None:
    """Every shipped example loads, and its dump reads back equal."""
    loaded = example(name, tmp_path)
    assert Config.model_validate(loaded.config.model_dump(mode="json")) == loaded.config
    assert Config.model_validate_json(loaded.config.model_dump_json()) == loaded.config


def test_minimal_example(tmp_path: Path) -> None:
    """The smallest file means what the design says: paths beside it, the label's name, observing."""
    loaded = example("minimal.toml", tmp_path)
    model = loaded.config.models["malaria"]
    assert model.name == "malaria"
    assert model.predictions.path == str(tmp_path / "exports/*.csv")
    assert model.reference.source is not None
    assert model.reference.source.path == str(tmp_path / "reference.csv")
    assert (model.columns.label, model.mode) == ("confirmed", "observe")
    assert loaded.config.pipelines["local"].command == (str(tmp_path / "retrain.sh"),)
    assert loaded.warnings == ()


def test_full_example_values(tmp_path: Path) -> None:
    """Dates, windows and column tables arrive typed; a naive date is in the model's zone."""
    model = example("full.toml", tmp_path).config.models["flights"]
    assert model.since == datetime(2013, 3, 25, 4, tzinfo=UTC)
    assert (model.window.size, model.window.lateness) == (timedelta(days=7), timedelta(hours=2))
    assert model.drift.columns["distance"].threshold == 0.2


def test_many_models_share_defaults(tmp_path: Path) -> None:
    """Included models take [defaults], put their version into its path, and win where they say otherwise."""
    loaded = example("many-models/driftd.toml", tmp_path)
    models = loaded.config.models
    assert set(models) == {"churn", "upsell", "demand"}
    assert models["churn"].reference.source is not None
    assert models["churn"].reference.source.path == str(tmp_path / "references/churn-7.csv")
    assert models["upsell"].reference.first == timedelta(days=30)
    assert models["upsell"].reference.source is None
    assert (models["demand"].window.size, models["demand"].window.min_rows) == (timedelta(days=1), 24)
    assert models["demand"].predictions.format == "csv"
    assert Path(str(models["demand"].predictions.path)).parts[-3:] == ("logs", "demand", "*.csv")
    assert models["demand"].retrain is not None
    assert len(loaded.files) == 3
    assert [text.split(": ", 1)[1] for text in loaded.warnings] == [
        f'models.upsell.predictions.path: nothing is at "{models["upsell"].predictions.path}" yet'
    ]


def test_short_forms(write) -> None:
    """A window may be a count of rows, a reference a stretch, labels a path."""
    model = write(MODEL + 'window = 5000\nlabels = "."\n').config.models["m"]
    assert model.window.size == 5000
    assert model.reference.first == timedelta(days=30)
    assert model.labels is not None


def test_model_wins_over_the_other_way_of_saying_it(write) -> None:
    """A model's cron replaces the default's every instead of contradicting it."""
    loaded = write('[defaults]\nevery = "2h"\n' + MODEL + 'cron = "*/15 6-22 1,15 * mon-fri"\n')
    model = loaded.config.models["m"]
    assert (model.every, model.cron) == (None, "*/15 6-22 1,15 * mon-fri")


def test_a_model_of_the_same_name_twice(write, tmp_path: Path) -> None:
    """A model defined in two files is an error that names both places."""
    twice = f"is already defined at {tmp_path}/driftd.toml:2, expected each name once"
    with pytest.raises(ConfigError) as caught:
        write('include = ["more.toml"]\n' + MODEL, more="\n" + MODEL + "[notify]\n")
    assert caught.value.problems == [
        f"{tmp_path}/more.toml:2: models.m: {twice}",
        f"{tmp_path}/more.toml:5: notify: an included file may hold [models.*] and [pipelines.*] only",
    ]


def test_problems_of_all_files_at_once(write, tmp_path: Path) -> None:
    """A broken include does not hide what is wrong elsewhere."""
    with pytest.raises(ConfigError) as caught:
        write('include = "*more.toml"\n' + MODEL + "every = 5", a_more="[models", b_more="[models.n]\nx = 1")
    assert [text.removeprefix(f"{tmp_path}/").split(": ")[0] for text in caught.value.problems] == [
        "driftd.toml:5", "a_more.toml:1", "b_more.toml:1", "b_more.toml:1", "b_more.toml:2"
    ]


def test_an_include_that_matches_nothing_is_a_warning(write, tmp_path: Path) -> None:
    """An empty models.d is normal on the first day."""
    assert write('include = "models.d/*.toml"\n' + MODEL).warnings == (
        f'{tmp_path}/driftd.toml:1: include: no file matches "models.d/*.toml" yet',
    )


def test_a_log_that_is_not_there_yet_is_a_warning(write, tmp_path: Path) -> None:
    """A folder or glob may fill later; the file is accepted and says so."""
    (warning,) = write(MODEL.replace('"."', '"log"')).warnings
    where = f"{tmp_path}/driftd.toml:2: models.m.predictions.path"
    assert warning == f'{where}: nothing is at "{tmp_path}/log" yet'


def test_the_hash_is_of_the_effective_values(write) -> None:
    """Comments, order and spelled-out defaults do not change it; a value does."""
    plain = write(MODEL).hash
    assert write("# hello\n" + MODEL + 'mode = "observe"\n').hash == plain
    assert write(MODEL + 'mode = "act"\n').hash != plain


def test_origins(write, tmp_path: Path) -> None:
    """Each value knows whether it is written, inherited or a default."""
    origins = write('[defaults]\nwindow = "1d"\n' + MODEL + 'label = "y"\n').origins
    file = tmp_path / "driftd.toml"
    assert origins["models.m.columns.label"] == f"{file}:6"
    assert origins["models.m.window.size"] == f"[defaults] {file}:2"
    assert origins["models.m.window.min_rows"] == "default"
    assert origins["models.m.reference.first"] == f"{file}:5"


def test_the_kept_text_is_redacted(write) -> None:
    """Passwords and tokens in addresses, comments included, are not kept."""
    daemon = '[daemon]\nheartbeat = "https://hc/x?token=hunter2"\n'
    text = write("# see https://me:hunter2@example.org/\n" + MODEL + daemon).text
    assert "hunter2" not in text
    assert 'heartbeat = "https://hc/x?token=…"' in text


def test_byte_order_mark_and_windows_line_ends(tmp_path: Path) -> None:
    """A file saved by a Windows editor is read like any other."""
    path = tmp_path / "driftd.toml"
    path.write_bytes(b"\xef\xbb\xbf" + MODEL.replace("\n", "\r\n").encode())
    assert load(path).origins["models.m.reference.first"].endswith(":3")


def test_missing_secrets(write, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Secrets that cannot be read are named with their place; those that can are not."""
    monkeypatch.delenv("NOWHERE", raising=False)
    monkeypatch.setenv("THERE", "hunter2")
    loaded = write(MODEL + '[notify]\nurls = [{ env = "THERE" },\n  { env = "NOWHERE" }, { file = "s" }]\n')
    file = tmp_path / "driftd.toml"
    assert [text.split(": ")[:2] for text in missing_secrets(loaded)] == [
        [f"{file}:6", "notify.urls.2"], [f"{file}:6", "notify.urls.3"]
    ]
    assert loaded.config.notify.urls[2] == Secret("file", str(tmp_path / "s"))


def test_absent_certificates_are_named(write, tmp_path: Path) -> None:
    """A file of certificates that is not there is a warning beforehand, and not only a failed request."""
    (tmp_path / "there.pem").touch()
    text = '[pipelines.{0}]\nkind = "gitlab"\nproject = "a/b"\ntoken = {{ env = "PATH" }}\nca = "{0}.pem"\n'
    loaded = write(MODEL + text.format("there") + text.format("gone"))
    assert missing_secrets(loaded) == [
        f"{tmp_path}/driftd.toml:13: pipelines.gone.ca: {tmp_path}/gone.pem is not there, expected certificates (PEM)"
    ]


@pytest.mark.parametrize(("networks", "problem"), [
    ('["10.0.0.0/8", "::1", "127.0.0.1"]', None), ('["10.0.0.1/8"]', "10.0.0.1/8"), ('["db.internal"]', "db.internal"),
])
def test_inner_networks_are_networks(write, networks: str, problem: str | None) -> None:
    """Names and addresses within a network are refused, with what was expected."""
    text = f"[daemon]\nallow_inner = {networks}\n" + MODEL
    if problem is None:
        assert write(text).config.daemon.allow_inner == ("10.0.0.0/8", "::1", "127.0.0.1")
        return
    with pytest.raises(ConfigError, match=f'allow_inner.1: "{problem}" is no network, expected such as "10.20.0.0/16"'):
        write(text)


def test_find_config(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The option wins over $DRIFTD_CONFIG; what is not there is one sentence that says who named it."""
    there = tmp_path / "there.toml"
    there.touch()
    monkeypatch.setenv("DRIFTD_CONFIG", str(there))
    assert find_config(None) == there
    with pytest.raises(ConfigError, match=r"none.toml: there is no such file \(given by -c\)"):
        find_config(tmp_path / "none.toml")


def test_state_dir(write, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The key, then $STATE_DIRECTORY, then ./state beside the file."""
    monkeypatch.delenv("STATE_DIRECTORY", raising=False)
    loaded = write(MODEL)
    assert state_dir(loaded.config, loaded.path) == tmp_path / "state"
    monkeypatch.setenv("STATE_DIRECTORY", "/var/lib/driftd")
    assert state_dir(loaded.config, loaded.path) == Path("/var/lib/driftd")
    loaded = write(MODEL + '[daemon]\nstate_dir = "here"\n')
    assert state_dir(loaded.config, loaded.path) == tmp_path / "here"


def test_settings_show_value_and_origin(write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`validate --show` has what is written, what is the default and what was found in the data."""
    monkeypatch.delenv("STATE_DIRECTORY", raising=False)
    loaded = write('[defaults]\nwindow = "1d"\n' + MODEL + '[notify]\nurls = [{ env = "U" }]\n')
    roles = Roles(
        timestamp="ts", id=None, prediction="pred", probability=None, label=None, label_timestamp=None,
        model_version=None, features={"age": "numerical"},
    )
    shown = {setting.key: (setting.value, setting.origin) for setting in settings(loaded, {"m": roles})}
    file = tmp_path / "driftd.toml"
    assert shown["models.m.window.size"] == ('"1d"', f"[defaults] {file}:2")
    assert shown["models.m.reference.first"] == ('"30d"', f"{file}:5")
    assert shown["models.m.every"] == ('"1h"', "default")
    assert shown["models.m.mode"] == ('"observe"', "default")
    assert shown["models.m.columns.timestamp"] == ('"ts"', "found in the data")
    assert shown["models.m.columns.features"] == ('["age (numerical)"]', "found in the data")
    assert shown["notify.urls.1"] == ('{"env": "U"}', f"{file}:7")
    assert shown["daemon.state_dir"] == (f'"{tmp_path}/state"', "default")
    assert "models.m.name" not in shown


def test_silences_are_read_in_their_models_time_zone(tmp_path: Path) -> None:
    """A date or a moment without an offset is local; without a model it is UTC."""
    path = tmp_path / "driftd.toml"
    path.write_text("""
        [models.m]
        predictions = "."
        reference = "first 30d"
        timezone = "Europe/Paris"
        [[silences]]
        model = "m"
        since = 2026-03-01
        until = 2026-03-02T12:00:00
        reason = "a holiday"
        [[silences]]
        until = 2026-03-02T12:00:00
        maintenance = true
        reason = "the pipeline moves"
    """)
    local, every = load(path).config.silences
    assert (local.since, local.until) == (datetime(2026, 2, 28, 23, tzinfo=UTC), datetime(2026, 3, 2, 11, tzinfo=UTC))
    assert (every.until, every.maintenance) == (datetime(2026, 3, 2, 12, tzinfo=UTC), True)


def test_a_secret_in_the_environment_is_text(monkeypatch: pytest.MonkeyPatch) -> None:
    """The line break that files of secrets end with is none of it; without text, or with bytes, it is said where."""
    monkeypatch.setitem(os.environ, "S", " t0ken\n")
    assert Secret("env", "S").reveal() == "t0ken"
    for value, sentence in {b"": "is not set", b" \n": "is not set", b"\xfft0ken": "is not UTF-8 text"}.items():
        monkeypatch.setitem(os.environb, b"S", value)
        with pytest.raises(ConfigError, match=f"the environment variable S {sentence}"):
            Secret("env", "S").reveal()
