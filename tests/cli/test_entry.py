"""The `driftd` command itself: what it costs, how it ends."""

import os
import shlex
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import pytest

from monitor.cli import COMMANDS
from monitor.cli import driftd as commands

DRIFTD = Path(sys.executable).with_name("driftd")
HEAVY = {
    "pandas", "pyarrow", "numpy", "scipy", "sklearn", "evidently", "requests", "apprise", "apscheduler",
    "pydantic", "rich", "structlog",
}


def test_help_loads_nothing_heavy() -> None:
    """`driftd --help` imports none of the packages that take long."""
    code = "import sys; from monitor.cli import main; main(['--help']); print('LOADED', *sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    text, _, loaded = done.stdout.partition("LOADED")
    assert not HEAVY & set(loaded.split())
    assert all(name in text for name in COMMANDS)


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_explains_itself(driftd: Any, name: str) -> None:
    """`driftd COMMAND --help` works for each command listed."""
    done = driftd(name, "--help")
    assert done.code == 0
    assert "Usage: driftd" in done.out


def test_a_typing_error_is_answered_with_what_was_meant(driftd: Any) -> None:
    """An unknown command ends with 2 and names the nearest."""
    done = driftd("chek")
    assert done.code == 2
    assert "did you mean 'check'?" in done.err


def test_no_configuration_is_one_sentence(driftd: Any, tmp_path: Path) -> None:
    """A configuration that is not there ends with 2 and says where it was looked for."""
    done = driftd("status", "-c", tmp_path / "nowhere.toml")
    assert (done.code, done.out) == (2, "")
    assert "nowhere.toml" in done.err
    assert "Traceback" not in done.err


def _broken(tmp_path: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    (tmp_path / "sitecustomize.py").write_text(
        "import monitor.cli.compare as c\ndef fail(*a): raise RuntimeError('oh')\nc.examine = fail\n"
    )
    environment = {**os.environ, "PYTHONPATH": str(tmp_path), **environment}
    return subprocess.run([DRIFTD, "compare", "a", "b"], capture_output=True, text=True, env=environment)


@pytest.mark.parametrize("command", ["init log.csv", "compare a.csv b.csv", "demo", "init sqlite:///a.db#t"])
def test_a_folder_that_is_gone_is_one_sentence(tmp_path: Path, command: str) -> None:
    """Whoever works in a folder that somebody removed reads that, and no fault."""
    (tmp_path / "gone").mkdir()
    done = subprocess.run(["sh", "-c", f'rmdir "$PWD" && exec "{DRIFTD}" {command}'], cwd=tmp_path / "gone",
                          capture_output=True, text=True)
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert done.stderr.startswith("the folder that driftd was started in is gone, expected one that is there")


def test_a_fault_of_ours_is_one_line(tmp_path: Path) -> None:
    """What nobody foresaw ends with 1, one line, and says how to see the traceback."""
    done = _broken(tmp_path)
    assert done.returncode == 1
    assert done.stderr.splitlines() == [
        "a fault of ours: RuntimeError: oh; --debug (or DRIFTD_DEBUG=1) prints the traceback"
    ]


def test_debug_prints_the_traceback(tmp_path: Path) -> None:
    """DRIFTD_DEBUG=1 prints the traceback too."""
    done = _broken(tmp_path, DRIFTD_DEBUG="1")
    assert done.returncode == 1
    assert "Traceback" in done.stderr


def test_a_reader_that_goes_away_is_no_error() -> None:
    """With nobody reading stdout a command ends quietly."""
    reading, writing = os.pipe()
    os.close(reading)
    done = subprocess.run([DRIFTD, "--help"], stdout=writing, stderr=subprocess.PIPE, text=True)
    os.close(writing)
    assert (done.returncode, done.stderr) == (141, "")


@pytest.mark.parametrize("send", [os.kill, os.killpg], ids=["one process", "as a terminal does"])
def test_ctrl_c_is_quiet(tmp_path: Path, send: Callable[[int, int], None]) -> None:
    """SIGINT ends a command with 130 and without a word, also where its parent gets it alone."""
    (tmp_path / "sitecustomize.py").write_text(
        "import signal, time, monitor.cli.compare as c\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"    # ignored where tests run in the background
        "def wait(*a):\n    print('here', flush=True)\n    time.sleep(60)\nc.examine = wait\n"
    )
    environment = {**os.environ, "PYTHONPATH": str(tmp_path)}
    command, pipe = [DRIFTD, "compare", "a", "b"], subprocess.PIPE
    with subprocess.Popen(
        command, stdout=pipe, stderr=pipe, text=True, env=environment, start_new_session=True
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()
        send(process.pid, signal.SIGINT)
        _, error = process.communicate(timeout=60)
    assert (process.returncode, error) == (130, "")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_during_an_import_ends_the_service(number: int) -> None:
    """It ends at once with 0, though libraries catch whatever comes while they are imported."""
    lines = ("import os, sys", "sys.argv[1:] = ['run']", "import monitor.cli", "try:",
             f"    os.kill(os.getpid(), {number})", "except BaseException:", "    pass", "print('goes on')")
    ended = subprocess.run([sys.executable, "-c", "\n".join(lines)], capture_output=True, check=False, timeout=60)
    assert (ended.returncode, ended.stdout) == (0, b"")


def test_python_m_is_the_same() -> None:
    """`python -m monitor` is `driftd`."""
    done = subprocess.run([sys.executable, "-m", "monitor", "--version"], capture_output=True, text=True)
    assert done.returncode == 0
    assert done.stdout.startswith("driftd, version 0.1.0")


@pytest.mark.parametrize(("option", "text", "said"), [
    ("--reason", "x" * 2_001, "it has 2001 characters, expected at most 2000"),
    ("--by", "x" * 121, "it has 121 characters, expected at most 120"),
    ("--reason", "a\udcff", "it is not valid Unicode, expected UTF-8"),
])
def test_what_people_type_for_the_audit_is_bounded_text(driftd: Any, option: str, text: str, said: str) -> None:
    """A reason or a name that the audit could not keep is refused in a sentence."""
    done = driftd("pause", "--by", "ann", "--reason", "why", option, text)
    assert done.code == 2
    assert said in done.err


@pytest.mark.parametrize("name", COMMANDS)
def test_every_help_ends_with_an_example_that_can_be_typed(driftd: Any, name: str) -> None:
    """The example stands in one piece, and its command takes such options and arguments."""
    told = " ".join(driftd(name, "--help").out.split())
    example = COMMANDS[name][2]
    assert told.endswith(f"Example: {example}")
    program, asked, *words = shlex.split(example)
    assert (program, asked) == ("driftd", name)
    context = click.Context(commands)
    command = commands.get_command(context, name)
    while isinstance(command, click.Group):
        command = command.get_command(context, words.pop(0))
    assert command is not None
    command.make_parser(click.Context(command)).parse_args(list(words))


@pytest.mark.parametrize(("shell", "sign"), [("bash", "complete -o nosort -F"), ("zsh", "#compdef driftd"),
                                             ("fish", "complete --no-files --command driftd")])
def test_completion_prints_a_script_the_shell_takes(driftd: Any, shell: str, sign: str) -> None:
    """Where the shell is installed it reads the script without complaint."""
    done = driftd("completion", shell)
    assert done.code == 0
    assert sign in done.out
    if shutil.which(shell):
        read = subprocess.run([shell, "-n"], input=done.out, text=True, capture_output=True, check=False)
        assert (read.returncode, read.stderr) == (0, "")


def test_a_shell_is_told_what_may_follow(monkeypatch: pytest.MonkeyPatch, driftd: Any) -> None:
    """What the bash script asks for `driftd hi…` is answered with the command, and for options with these."""
    monkeypatch.setenv("_DRIFTD_COMPLETE", "bash_complete")
    for words, place, answer in (("driftd hi", "1", "history"), ("driftd history --exp", "2", "--explain")):
        monkeypatch.setenv("COMP_WORDS", words)
        monkeypatch.setenv("COMP_CWORD", place)
        assert driftd().out == f"plain,{answer}\n"
