"""Row 19: every command in a network of its own; whatever would leave the machine is counted by the kernel."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.torture.harness import write_log

CONFIG = """
[daemon]
listen = "127.0.0.1:0"

[models.m]
predictions = "log.csv"
reference   = "reference.csv"
window      = { size = "1d", min_rows = 20 }
since       = SINCE
mode        = "act"

[[models.m.evidently]]
metric  = "MissingValueCount"
options = { column = "x" }

[[models.m.triggers]]
name   = "worse"
metric = "accuracy"
below  = 0.99
action = "retrain"

[models.m.retrain]
pipeline   = "local"
min_labels = 0

[pipelines.local]
kind    = "command"
command = ["true"]
"""
ON = "-c driftd.toml"
COMMANDS = (
    "init log.csv -o written.toml", f"validate {ON}", f"validate --online {ON}", f"check {ON}", f"status {ON}",
    f"history --explain newest {ON}", f"report --html r.html {ON}", f"audit verify {ON}", f"audit export -o a.zip {ON}",
    f"window export -o w.csv {ON}", f"backtest {ON}", f"backtest --rehearse {ON}",
    f"retrain --by ada --reason why {ON}", "compare reference.csv log.csv", "gate --help", "schema", "--version",
)
# The route to everywhere leads to a cable whose other end nobody is at; the kernel counts what goes in. IPv6 is off:
# the kernel itself would look for neighbours.
INSIDE = """
set -e
ip link set lo up
sysctl -qw net.ipv6.conf.all.disable_ipv6=1 net.ipv6.conf.default.disable_ipv6=1
ip link add away type veth peer name nowhere
ip link set nowhere up
ip addr add 10.77.0.1/24 dev away
ip link set away arp off up
ip route add default via 10.77.0.2
echo nameserver 10.77.0.3 > resolv.conf
mount --bind resolv.conf /etc/resolv.conf
"$@" > out 2>&1 || echo "exit $?" >> out
awk '/away:/ { sub(/.*:/, ""); print $10 }' /proc/net/dev
"""

pytestmark = [
    pytest.mark.real,
    pytest.mark.skipif(os.getuid() != 0 or shutil.which("ip") is None, reason="needs root, unshare and ip"),
]


def sent(folder: Path, *command: str) -> int:
    """How many packets a command would have sent to other machines."""
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).resolve().parents[2])}
    done = subprocess.run(["unshare", "-nm", "bash", "-c", INSIDE, "bash", *command], cwd=folder, capture_output=True,
                          text=True, env=environment, timeout=300)
    assert done.returncode == 0, done.stderr
    return int(done.stdout)


@pytest.mark.torture(19)
def test_no_command_leaves_the_machine(tmp_path: Path, figure: Callable[[str], None]) -> None:
    """With a route and a name server that are elsewhere, no packet is sent to either; the demo and the service too."""
    today = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    write_log(tmp_path / "reference.csv", today - timedelta(days=40), 700, timedelta(hours=1))
    write_log(tmp_path / "log.csv", today - timedelta(days=3), 140, timedelta(minutes=30), seed=2)
    (tmp_path / "driftd.toml").write_text(CONFIG.replace("SINCE", f"{today - timedelta(days=3):%Y-%m-%d}"))
    asking = [sys.executable, "-c", "import socket; socket.create_connection(('driftd.example', 80), 3)"]
    assert sent(tmp_path, *asking) > 0                                      # what is sent is counted
    for words in COMMANDS:
        assert sent(tmp_path, sys.executable, "-m", "monitor", *words.split()) == 0, words
        said = (tmp_path / "out").read_text()
        assert "Traceback" not in said, said
    for words in (f"run {ON}", "demo"):
        assert sent(tmp_path, "timeout", "-s", "INT", "15", sys.executable, "-m", "monitor", *words.split()) == 0, words
    figure(f"{len(COMMANDS)} commands, the service and the demo: 0 packets to other machines")
