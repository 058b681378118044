"""`driftd collect`: keep the rows of a stream in a folder that driftd reads."""

import signal
from datetime import timedelta
from pathlib import Path

import click

from monitor.cli.options import SPAN, json_option
from monitor.cli.terminal import print_json, say
from monitor.config.values import Secret
from monitor.errors import UsageError

_ENDED_BY = (signal.SIGTERM, signal.SIGINT)
_SECRET_KINDS = ("env", "file", "credential")


@click.command()
@click.argument("address")
@click.option("--topic", required=True, metavar="NAME", help="The topic of Kafka, or the key of the Redis stream.")
@click.option("--folder", required=True, type=click.Path(path_type=Path), metavar="FOLDER",
              help="Where the rows are kept; it is made if it does not exist.")
@click.option("--user", metavar="NAME", help="The user to sign in as.")
@click.option("--password", metavar="PLACE", help="Where the password is: env:NAME, file:PATH or credential:NAME.")
@click.option("--sasl", type=click.Choice(("PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512")), default="SCRAM-SHA-512",
              show_default=True, help="How Kafka is signed in to.")
@click.option("--every", type=SPAN, default="5m", show_default=True,
              help="How long a row waits for its file at most.")
@click.option("--once", is_flag=True, help="End when the stream has been read to its end.")
@json_option
def collect(
    address: str, topic: str, folder: Path, user: str | None, password: str | None, sasl: str, every: timedelta,
    once: bool, as_json: bool,
) -> None:
    """Read a Redis stream or a topic of Kafka, each message a JSON object, into a folder of JSON lines.

    ADDRESS is redis://host:6379/0, rediss://host, kafka://host:9092,host:9092 or kafka+ssl://host:9093.

    Each row is kept once, whatever ends this command: the folder says where to go on. It runs until SIGTERM or Ctrl-C,
    and then keeps what it has read. Messages that are no rows are kept apart, in files that begin with _.
    """
    from monitor.collect.address import parse
    from monitor.collect.collector import Collector
    from monitor.collect.folder import Folder
    from monitor.collect.streams import stream_of
    from monitor.daemon.signals import Signals

    stream = stream_of(parse(address, user, _password(password), sasl), topic)
    with Signals() as signals, Folder(folder, topic) as kept:
        ended: set[bool] = set()

        def pause(seconds: float) -> bool:
            while not ended and (number := signals.wait(seconds)) is not None:
                if number in _ENDED_BY:
                    ended.add(True)
            return bool(ended)

        collector = Collector(stream, kept, every, pause, lambda text: say(text, err=True))
        try:
            collector.drain() if once else collector.follow()
        finally:
            stream.close()
    found = collector.collected
    if as_json:
        print_json(folder=str(folder), topic=topic, rows=found.rows, unusable=found.unusable, files=found.files,
                   gaps=found.gaps, after=kept.after)
        return
    say(f"{folder}: {found.rows} rows of {topic} in {found.files} files, {found.unusable} messages that are none")


def _password(place: str | None) -> str | None:
    """Return what a place holds. Raises UsageError where it names none; ConfigError where it cannot be read."""
    if place is None:
        return None
    kind, _, name = place.partition(":")
    if kind not in _SECRET_KINDS or not name:
        raise UsageError("--password: a password is never written on a command line, where others on this machine "
                         "can read it, expected env:NAME, file:PATH or credential:NAME")
    return Secret.parse({kind: name}).reveal()
