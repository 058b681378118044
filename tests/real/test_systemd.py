"""systemd accepts the unit, finds it well locked in, and really runs driftd with it."""

import json
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

pytestmark = pytest.mark.real

ROOT = Path(__file__).resolve().parents[2]
UNIT = ROOT / "deploy/systemd/driftd.service"
LONG = ["/bin/sh", "-c", "until [ -e /var/lib/driftd/go ]; do sleep 0.1; done"]    # a retrain that takes its time
EXPOSED = 15    # tenths, of 100: the most `systemd-analyze security` may find open

# What differs here from a whole machine: no other unit, a file for the log, configuration and data in /mnt, and a
# driftd that may lie below /root, /home or /tmp.
DROP_IN = f"""
[Unit]
DefaultDependencies=no
After=
Wants=
[Service]
ConfigurationDirectory=
Environment=DRIFTD_CONFIG=/mnt/driftd.toml
ProtectHome=tmpfs
BindReadOnlyPaths={ROOT} {sys.base_prefix}
StandardOutput=append:/mnt/log
StandardError=inherit
"""


@pytest.fixture
def unit(tmp_path: Path) -> Path:
    """The unit with the driftd of this environment, as /opt/driftd need not exist here."""
    here = Path(sys.executable).with_name("driftd")
    text = UNIT.read_text(encoding="utf-8")
    assert "ExecStart=/opt/driftd/bin/driftd run\n" in text
    file = tmp_path / "units/driftd.service"
    file.parent.mkdir()
    file.write_text(text.replace("/opt/driftd/bin/driftd", str(here)), encoding="utf-8")
    return file


def analyze(*arguments: str) -> subprocess.CompletedProcess[str]:
    tool = shutil.which("systemd-analyze")
    assert tool, "systemd-analyze is not installed, run tests/real/install"
    return subprocess.run([tool, *arguments], capture_output=True, text=True, timeout=60)


def test_the_unit_is_valid(unit: Path) -> None:
    """Every line of the unit is known to this systemd and leads somewhere: no warning at all."""
    done = analyze("verify", "--man=no", "--recursive-errors=no", str(unit))
    assert (done.returncode, done.stdout + done.stderr) == (0, "")


def test_a_wrong_line_would_be_seen(unit: Path) -> None:
    """The check above is a real one: a misspelt setting makes it speak."""
    unit.write_text(unit.read_text().replace("ProtectHome=", "ProtectHouse="))
    assert "ProtectHouse" in analyze("verify", "--man=no", "--recursive-errors=no", str(unit)).stderr


def test_the_service_is_locked_in(unit: Path) -> None:
    """What the service could do is rated at most 1.5 of 10."""
    done = analyze("security", "--offline=true", f"--threshold={EXPOSED}", "--no-pager", str(unit))
    assert done.returncode == 0, done.stdout + done.stderr


class Machine:
    """A systemd that runs in namespaces of its own, and the daemon on it."""

    def __init__(self, booted: subprocess.Popen[bytes], port: int) -> None:
        self._booted = booted
        self._port = port

    def inside(self, *command: str) -> str:
        """Run a command where that systemd lives; return what it says."""
        children = Path(f"/proc/{self._booted.pid}/task/{self._booted.pid}/children").read_text().split()
        if not children:
            return ""
        enter = ["nsenter", "--target", children[0], "--mount", "--pid", *command]
        return subprocess.run(enter, capture_output=True, text=True, timeout=30).stdout.strip()

    def wait(self, state: str, seconds: float = 90.0) -> None:
        """Wait until the unit is in a state; fail with its log when it does not get there."""
        deadline = time.monotonic() + seconds
        while (now := self.inside("systemctl", "is-active", "driftd")) != state:
            assert time.monotonic() < deadline, f"driftd is {now}, not {state}\n{self.log()}"
            assert self._booted.poll() is None, f"systemd ended\n{self.log()}"
            time.sleep(0.1)

    def log(self) -> str:
        return self.inside("cat", "/mnt/log")

    def show(self, *names: str) -> str:
        wanted = [f"--property={name}" for name in names]
        return self.inside("systemctl", "show", "driftd", "--value", *wanted)

    def get(self, path: str) -> str:
        with urllib.request.urlopen(f"http://127.0.0.1:{self._port}{path}", timeout=10) as answer:
            return str(answer.read(), "utf-8")

    def request(self) -> str:
        """The state of the newest retrain request, as /metrics shows it."""
        lines = [line for line in self.get("/metrics").splitlines() if line.startswith("driftd_dispatches{")]
        states = [line.partition('state="')[2].partition('"')[0] for line in lines if line.endswith(" 1.0")]
        return states[0] if states else "none"

    def await_request(self, state: str, seconds: float = 60.0) -> None:
        deadline = time.monotonic() + seconds
        while self.request() != state:
            assert time.monotonic() < deadline, f"the request is {self.request()}, not {state}\n{self.log()}"
            time.sleep(0.1)

    def checked(self, seconds: float = 90.0) -> str:
        """Wait for the end of the first check; return its outcomes as /metrics counts them."""
        deadline = time.monotonic() + seconds
        while "driftd_last_check_timestamp_seconds{" not in (metrics := self.get("/metrics")):
            assert time.monotonic() < deadline, f"no check ended\n{self.log()}"
            time.sleep(0.1)
        return "\n".join(line for line in metrics.splitlines() if line.startswith("driftd_checks_total"))


def may_boot() -> bool:
    """Whether this process may make namespaces and mount in them: root, and no unprivileged container."""
    tried = ["unshare", "--mount", "--pid", "--fork", "--cgroup", "mount", "-t", "cgroup2", "none", "/sys/fs/cgroup"]
    return subprocess.run(tried, capture_output=True).returncode == 0


@pytest.fixture
def machine(unit: Path, tmp_path: Path) -> Iterator[Machine]:
    """Boot the unit with a small model to watch."""
    if not may_boot():
        pytest.skip("a systemd of its own needs root and the right to mount, as in a virtual machine")
    drop_in = unit.with_name("driftd.service.d") / "here.conf"
    drop_in.parent.mkdir()
    drop_in.write_text(DROP_IN)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    data = tmp_path / "data"
    data.mkdir()
    rows = [f"2026-01-{5 + n % 7:02}T{n % 24:02}:00:00Z,{30 + n % 9},{n % 2},{n % 2}\n" for n in range(300)]
    (data / "log.csv").write_text("timestamp,age,prediction,label\n" + "".join(rows))
    (data / "driftd.toml").write_text(
        f'[daemon]\nlisten = "127.0.0.1:{port}"\n'
        '[models.small]\npredictions = "log.csv"\nreference = "log.csv"\nlabel = "label"\nretrain.pipeline = "long"\n'
        f'[pipelines.long]\nkind = "command"\ncommand = {json.dumps(LONG)}\n'
    )
    command = [str(ROOT / "tests/real/boot"), str(unit.parent), str(data)]
    with open(tmp_path / "console", "wb") as console:
        booted = subprocess.Popen(command, stdout=console, stderr=console, stdin=subprocess.DEVNULL)
        yield Machine(booted, port)
        booted.kill()
        booted.wait()


def test_driftd_runs_reloads_and_stops_under_systemd(machine: Machine) -> None:
    """With every restriction of the unit in force driftd is ready, checks a model, reloads and ends well."""
    machine.wait("active")
    assert machine.get("/healthz")
    assert 'outcome="judged"' in machine.checked(), machine.log()
    assert machine.inside("stat", "--format=%a", "/var/lib/private/driftd") == "700"
    machine.inside("systemctl", "reload", "driftd")
    machine.wait("active")
    assert machine.show("ReloadResult", "NRestarts").split() == ["success", "0"], machine.log()
    machine.inside("systemctl", "stop", "driftd")
    machine.wait("inactive")
    assert machine.show("Result", "ExecMainStatus").split() == ["success", "0"], machine.log()


def test_a_run_outlives_a_restart_of_the_service(machine: Machine) -> None:
    """The command of a retrain is not killed when the service is restarted, and the next daemon takes its outcome."""
    machine.wait("active")
    machine.checked()
    here, state = str(Path(sys.executable).with_name("driftd")), "STATE_DIRECTORY=/var/lib/private/driftd"
    words = ["retrain", "-c", "/mnt/driftd.toml", "--model", "small", "--by", "ann", "--reason", "to see"]
    machine.inside("env", state, here, *words)
    machine.await_request("running")
    before = machine.show("MainPID")
    machine.inside("systemctl", "restart", "driftd")
    machine.wait("active")
    assert machine.show("MainPID") != before
    machine.await_request("running")
    machine.inside("touch", "/var/lib/private/driftd/go")
    machine.await_request("succeeded")
