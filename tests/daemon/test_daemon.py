import http.client
import http.server
import json
import os
import re
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

from monitor.errors import StateLocked
from monitor.store import Store

HERE = Path(__file__).resolve().parent
PROGRAM = HERE / "inside/standing_in.py"
TASKS = HERE.parent / "workers/inside"


def until(condition, seconds=15.0):
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
        connection = http.client.HTTPConnection(url[1], timeout=10)
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
        return self.process.wait(20)


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
    assert "log.csv is not there." in running.log()
    assert "ZeroDivisionError" in running.log()


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
    assert words in running.log()
    running.process.send_signal(signal.SIGUSR1)
    until(lambda: running.metric('driftd_checks_total{model="flights",outcome="judged"}') == 2)
    write(running.folder, "flights")
    until(lambda: running.metric("driftd_config_last_reload_successful") == 1)


def test_a_bad_configuration_at_the_start_is_an_error(start):
    """A cron expression that is none ends the start with exit code 2 and names the key."""
    model = '[models.flights]\npredictions = "log.csv"\nreference = "log.csv"\n'
    running = start(extra=f'{model}cron = "hourly"\n')
    output, _ = running.process.communicate(timeout=20)
    assert running.process.returncode == 2
    assert "flights.cron" in output


def test_a_second_daemon_names_the_first(start, tmp_path):
    """Two daemons on one state: the second exits with 5 and says who holds it; the first goes on."""
    running = start("flights")
    running.tells("READY=1")
    second = subprocess.run(
        [sys.executable, str(PROGRAM), str(tmp_path / "driftd.toml")],
        capture_output=True, text=True, timeout=20,
    )
    assert second.returncode == StateLocked.exit_code
    assert str(running.process.pid) in second.stdout
    assert running.get("/healthz")[0] == 200


def test_each_check_gives_a_sign_of_life(start):
    """The heartbeat address is fetched after a check."""
    fetched = threading.Event()

    class Receiver(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            fetched.set()
            self.send_response(200)
            self.end_headers()

        def log_message(self, *args):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Receiver)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        start("flights", heartbeat=f"http://127.0.0.1:{server.server_port}/alive")
        assert fetched.wait(15)
    finally:
        server.shutdown()
        server.server_close()


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
