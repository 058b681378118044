import http.client
import http.server
import json
import os
import re
import resource
import select
import signal
import socket
import sqlite3
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from monitor.cli import main
from monitor.errors import StateLocked
from monitor.store import Store

HERE = Path(__file__).resolve().parent
PROGRAM = HERE / "inside/standing_in.py"
TASKS = HERE.parent / "workers/inside"


def until(condition, seconds=60.0):
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < deadline, "waited too long"
        time.sleep(0.02)
    return found


class Running:
    """A daemon in a process of its own, with its configuration, its log and its words to systemd."""

    def __init__(self, folder, **environment):
        self.folder = folder
        self.notify = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.notify.bind(str(folder / "notify"))
        self.told = []
        self.log_file = (folder / "log").open("w+")
        self.process = subprocess.Popen(
            [sys.executable, str(PROGRAM), str(folder / "driftd.toml")],
            stderr=self.log_file, stdout=subprocess.PIPE, text=True, process_group=0,
            env=os.environ | {"PYTHONPATH": str(TASKS), "NOTIFY_SOCKET": str(folder / "notify")} | environment,
        )

    def log(self):
        return (self.folder / "log").read_text()

    def calls(self):
        file = self.folder / "calls"
        return file.read_text().splitlines() if file.exists() else []

    def heard(self):
        """All lines told to systemd so far."""
        while select.select([self.notify], [], [], 0)[0]:
            self.told += self.notify.recv(1000).decode().splitlines()
        return self.told

    def tells(self, line):
        return until(lambda: line in self.heard())

    def get(self, path):
        url = until(lambda: re.search(r"http://(127\.0\.0\.1:\d+)/", self.log()))
        connection = http.client.HTTPConnection(url[1], timeout=60)
        try:
            connection.request("GET", path)
            answer = connection.getresponse()
            return answer.status, answer.read().decode()
        finally:
            connection.close()

    def metric(self, line):
        found = re.search(rf"^{re.escape(line)} (\S+)$", self.get("/metrics")[1], re.MULTILINE)
        return float(found[1]) if found else None

    def stop(self, number=signal.SIGTERM):
        self.process.send_signal(number)
        return self.process.wait(60)


def write(folder, *models, extra="", **daemon):
    (folder / "log.csv").write_text("timestamp,prediction,label\n2025-01-01,1,1\n")
    settings = "".join(f"{key} = {json.dumps(value)}\n" for key, value in daemon.items())
    text = f'[daemon]\nlisten = "127.0.0.1:0"\n{settings}{extra}\n' + "".join(
        f'[models.{model}]\npredictions = "log.csv"\nreference = "log.csv"\n' for model in models
    )
    draft = folder / "draft"
    draft.write_text(text)
    draft.rename(folder / "driftd.toml")


@pytest.fixture
def start(tmp_path):
    started = []

    def begin(*models, environment=None, **settings):
        write(tmp_path, *models, **settings)
        started.append(Running(tmp_path, **(environment or {})))
        return started[-1]

    yield begin
    for running in started:
        print(running.log())         # shown where the test fails
        running.process.kill()
        running.process.communicate()
        running.notify.close()
        running.log_file.close()


def test_a_start_checks_every_model_and_shows_it(start):
    """After the start systemd is told, each model is checked at once, and metrics, page and status say so."""
    running = start("flights", "bikes")
    assert running.tells("READY=1")
    until(lambda: running.metric('driftd_trigger_firing{model="bikes",trigger="drift"}') == 1)
    until(lambda: running.metric('driftd_checks_total{model="flights",outcome="judged"}') == 1)
    assert running.metric('driftd_verdicts_total{action="alert",model="flights"}') == 1
    assert running.metric("driftd_config_last_reload_successful") == 1
    assert running.get("/healthz")[0] == running.get("/readyz")[0] == 200
    assert "bikes" in running.get("/")[1]
    assert running.tells("STATUS=2 models watched, 2 triggers firing")
    assert running.tells("WATCHDOG=1")
    assert running.calls()[0] == "recover"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_cleanly(start, number):
    """SIGTERM and Ctrl-C stop it with exit code 0, systemd is told, the state can be opened again."""
    running = start("flights")
    running.tells("READY=1")
    assert running.stop(number) == 0
    assert running.tells("STOPPING=1")
    Store.open(running.folder / "state").close()
    assert "Traceback" not in running.log()


def test_stopping_abandons_a_task_that_will_not_end(start):
    """A worker that computes on is ended with the daemon; its model counts as neither failed nor checked."""
    running = start("hangs", environment={"PATIENCE": "0.2"})
    spinning = running.folder / "spinning"
    until(lambda: spinning.exists() and spinning.read_text())
    assert running.stop() == 0
    assert not Path(f"/proc/{spinning.read_text()}").exists()
    assert "abandoned" in running.log()
    assert "Traceback" not in running.log()


def test_a_model_in_trouble_does_not_disturb_others(start):
    """A source that is gone, a fault of ours and a hanging worker are counted; the rest is checked."""
    running = start("hangs", "sourceless", "faulty", "buggy", "flights", environment={"PATIENCE": "0.2"})
    for model, outcome in (
        ("sourceless", "not_judged"), ("faulty", "failed"), ("buggy", "failed"), ("flights", "judged")
    ):
        line = f'driftd_checks_total{{model="{model}",outcome="{outcome}"}}'
        until(lambda line=line: running.metric(line) == 1)
    for words in ("log.csv is not there.", "ZeroDivisionError"):
        until(lambda words=words: words in running.log())


@pytest.mark.parametrize("by", ["signal", "file"])
def test_a_changed_configuration_is_taken_up(start, by):
    """SIGHUP, or just the file, brings a new model in and makes a removed one vanish."""
    running = start("flights")
    until(lambda: running.metric('driftd_checks_total{model="flights",outcome="judged"}') == 1)
    write(running.folder, "bikes")
    if by == "signal":
        running.process.send_signal(signal.SIGHUP)
    until(lambda: running.metric('driftd_checks_total{model="bikes",outcome="judged"}') == 1)
    assert "flights" not in running.get("/metrics")[1]
    assert running.tells("RELOADING=1")
    assert re.search(r"RELOADING=1\nMONOTONIC_USEC=\d+\n(.*\n)*READY=1", "\n".join(running.heard()))
    with sqlite3.connect(running.folder / "state/driftd.db") as database:
        assert database.execute("SELECT count(*) FROM configs").fetchone() == (2,)


@pytest.mark.parametrize(
    ("models", "extra", "words"),
    [(("flights", "unbuildable"), "", "a pipeline cannot be built"),
     (("flights",), "nonsense = 1\n", "nonsense"),
     (("bikes",), '[models.bikes]\ncron = "every hour"\n[x]\n', "refused")],
)
def test_a_bad_configuration_keeps_the_last_good_one(start, models, extra, words):
    """What cannot be read or built is logged and shown in a metric; the old models go on."""
    running = start("flights")
    until(lambda: running.metric('driftd_checks_total{model="flights",outcome="judged"}') == 1)
    write(running.folder, *models, extra=extra)
    running.process.send_signal(signal.SIGHUP)
    until(lambda: running.metric("driftd_config_last_reload_successful") == 0)
    until(lambda: words in running.log())
    running.process.send_signal(signal.SIGUSR1)
    until(lambda: running.metric('driftd_checks_total{model="flights",outcome="judged"}') > 1)
    write(running.folder, "flights")
    until(lambda: running.metric("driftd_config_last_reload_successful") == 1)


def test_a_bad_configuration_at_the_start_is_an_error(start):
    """A cron expression that is none ends the start with exit code 2 and names the key."""
    model = '[models.flights]\npredictions = "log.csv"\nreference = "log.csv"\n'
    running = start(extra=f'{model}cron = "hourly"\n')
    output, _ = running.process.communicate(timeout=60)
    assert running.process.returncode == 2
    assert "flights.cron" in output


def test_a_second_daemon_names_the_first(start, tmp_path):
    """Two daemons on one state: the second exits with 5 and says who holds it; the first goes on."""
    running = start("flights")
    running.tells("READY=1")
    second = subprocess.run(
        [sys.executable, str(PROGRAM), str(tmp_path / "driftd.toml")],
        capture_output=True, text=True, timeout=60,
    )
    assert second.returncode == StateLocked.exit_code
    assert str(running.process.pid) in second.stdout
    assert running.get("/healthz")[0] == 200


@pytest.fixture
def receiver():
    """An address that counts who calls; while its gate is shut it does not answer."""

    class Receiver(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            server.calls.append(self.path)
            server.gate.wait(60)
            self.send_response(200)
            self.end_headers()

        def log_message(self, *args):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Receiver)
    server.calls, server.gate = [], threading.Event()
    server.address = f"http://127.0.0.1:{server.server_port}/alive"
    server.gate.set()
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.gate.set()
    server.shutdown()
    server.server_close()


def judged(running, model, number):
    until(lambda: running.metric(f'driftd_checks_total{{model="{model}",outcome="judged"}}') == number)


def test_each_round_of_checks_gives_one_sign_of_life(start, receiver):
    """The heartbeat address is fetched once when the last model of a round has been checked."""
    running = start("meets-one", "meets-two", "meets-three", heartbeat=receiver.address)
    until(lambda: len(receiver.calls) == 1)
    running.process.send_signal(signal.SIGUSR1)
    until(lambda: len(receiver.calls) == 2)
    running.stop()
    assert len(receiver.calls) == 2
    assert len(running.calls()) == 7                 # recover, and three checks in each of two rounds


def test_a_heartbeat_that_hangs_holds_up_no_check(start, receiver):
    """While the heartbeat address does not answer, models are checked on."""
    receiver.gate.clear()
    running = start("flights", heartbeat=receiver.address)
    until(lambda: receiver.calls)
    for number in (2, 3):
        running.process.send_signal(signal.SIGUSR1)
        judged(running, "flights", number)
    assert len(receiver.calls) == 1


def test_a_worker_that_stands_still_delays_no_other_model(start):
    """While one model's worker process is stopped, the others are checked again and again by the remaining one."""
    running = start("stands-still", "works", "works-too", workers=2, environment={"PATIENCE": "0.2"})
    standing = running.folder / "standing"
    until(lambda: standing.exists() and standing.read_text())
    for number in (1, 2, 3):
        judged(running, "works", number)
        judged(running, "works-too", number)
        running.process.send_signal(signal.SIGUSR1)
    assert running.calls().count("check stands-still") == 1
    assert running.get("/healthz")[0] == 200
    assert running.stop() == 0
    assert not Path(f"/proc/{standing.read_text()}").exists()


def test_a_start_after_kill_shows_what_fired_before(start):
    """After kill −9 the next daemon shows the firing trigger before it has checked anything."""
    running = start("flights")
    until(lambda: running.metric('driftd_trigger_firing{model="flights",trigger="drift"}') == 1)
    running.process.kill()
    running.process.wait()
    running.notify.close()
    (running.folder / "notify").unlink()
    write(running.folder, "flights", extra="")
    text = (running.folder / "driftd.toml").read_text()
    rarely = text.replace("[models.flights]", '[models.flights]\ncron = "0 0 1 1 *"')
    (running.folder / "driftd.toml").write_text(rarely)
    again = Running(running.folder)
    try:
        until(lambda: again.metric('driftd_trigger_firing{model="flights",trigger="drift"}') == 1)
        assert again.calls().count("check flights") == 1
    finally:
        again.process.kill()
        again.process.communicate()
        again.notify.close()
        again.log_file.close()


def test_a_reload_checks_a_model_whose_section_changed_at_once(start):
    """Also one whose next time by `cron` is in January."""
    running = start("flights")
    until(lambda: running.calls().count("check flights") == 1)
    config = running.folder / "driftd.toml"
    config.write_text(config.read_text().replace("[models.flights]", '[models.flights]\ncron = "0 0 1 1 *"'))
    until(lambda: running.calls().count("check flights") == 2)


def test_a_state_that_cannot_be_written_is_said_and_heals(start):
    """While a write fails, health says why, the metric is 0 and the log has one line; the next write clears it."""
    running = start("flights")
    until(lambda: running.metric('driftd_checks_total{model="flights",outcome="judged"}') == 1)
    assert running.metric("driftd_state_ok") == 1
    full = (running.folder / "state/driftd.db-wal").stat().st_size
    before = resource.prlimit(running.process.pid, resource.RLIMIT_FSIZE, (full, resource.RLIM_INFINITY))
    running.process.send_signal(signal.SIGUSR1)
    _, why = until(lambda: (said := running.get("/healthz"))[0] == 503 and said)
    assert "cannot be used" in why
    assert running.metric("driftd_state_ok") == 0
    until(lambda: running.metric("driftd_state_faults_total") >= 3)
    resource.prlimit(running.process.pid, resource.RLIMIT_FSIZE, before)
    until(lambda: running.get("/healthz")[0] == 200)
    assert running.metric("driftd_state_ok") == 1
    assert running.log().count("The state cannot be used") == running.log().count("can be written again") == 1
    assert "Traceback" not in running.log()


def test_a_damaged_state_is_brought_back_from_the_copies_of_the_daemon(start, capsys):
    """A daemon copies, its state is damaged, the next one refuses to start; the copy restored, it runs again."""
    running = start("flights", extra='[daemon.backup]\nfolder = "copies"')
    copies = running.folder / "copies"
    until(lambda: running.metric("driftd_backup_last_success_timestamp_seconds"))
    assert running.stop() == 0
    (copy,) = copies.iterdir()
    with sqlite3.connect(running.folder / "state/driftd.db") as database:
        database.execute("UPDATE configs SET text = 'x'")
    database.close()
    config = ["-c", str(running.folder / "driftd.toml")]
    assert main(["run", *config]) == 5
    assert main(["state", "check", *config]) == 5
    assert "rows of configs" in capsys.readouterr().out
    assert main(["state", "restore", str(copy), *config]) == 0
    assert main(["state", "check", *config]) == 0
    (running.folder / "notify").unlink()
    again = start("flights", extra='[daemon.backup]\nfolder = "copies"')
    until(lambda: again.get("/readyz")[0] == 200)
    assert again.stop() == 0
