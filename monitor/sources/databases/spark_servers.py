"""Which Spark answers: a Spark Connect server somewhere, or one in a JVM that ends with this process."""

import os
import re
import shutil
import socket
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta
from tempfile import TemporaryFile, gettempdir
from typing import Any
from uuid import uuid4

from monitor.errors import SourceError
from monitor.outgoing.guard import AddressRefused, look_up
from monitor.private import quoted
from monitor.times import format_duration

_CONNECT_SECONDS = 10            # at most
_TRIES = 3                       # of a call whose server has gone; Spark's own go on for ten minutes
_TOKEN = "SPARK_CONNECT_AUTHENTICATE_TOKEN"          # not an option of the command: others see those
_MEMORY = "SPARK_DRIVER_MEMORY"  # of the JVM, unless Spark is configured otherwise
_LOCAL = re.compile(r"local(\[.*\])?")
# Only this process reaches it. It lives too briefly for the compiler that takes its time.
_OURS = {
    "spark.app.name": "driftd",
    "spark.plugins": "org.apache.spark.sql.connect.SparkConnectPlugin",
    "spark.connect.grpc.binding.address": "127.0.0.1",
    "spark.connect.grpc.binding.port": "0",
    "spark.ui.enabled": "false",
    "spark.ui.showConsoleProgress": "false",
    "spark.log.level": "ERROR",
    "spark.driver.extraJavaOptions": "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC",
}
_ALONE = {"spark.driver.host": "127.0.0.1", "spark.driver.bindAddress": "127.0.0.1"}

os.environ.setdefault("GRPC_VERBOSITY", "NONE")      # before gRPC is imported: what it says of failures is raised
_started: dict[str, str] = {}    # master: address of its server in this process


@contextmanager
def opened(address: str, origin: str, timeout: timedelta) -> Iterator[Any]:
    """Open a session of Spark Connect, which knows nothing of earlier ones: no list of files that was read before.

    What takes longer than `timeout` is ended. Raises SourceError, ImportError and what the client raises.
    """
    from pyspark.errors import PySparkException

    _quiet()
    scheme, _, master = address.partition("://")
    spark = _session(_server(master, origin) if scheme.lower() == "spark" else address, origin, timeout)
    late = threading.Event()

    def end() -> None:
        late.set()
        spark.interruptAll()

    timer = threading.Timer(timeout.total_seconds(), end)
    timer.daemon = True
    timer.start()
    try:
        spark.conf.set("spark.sql.session.timeZone", "UTC")
        yield spark
    except PySparkException:
        if not late.is_set():
            raise
        raise SourceError(f"{origin}: Spark took longer than {format_duration(timeout)} and was stopped; the limit is "
                          "the source's timeout") from None
    finally:
        timer.cancel()
        spark.stop()


def _quiet() -> None:
    """Keep off stderr what is raised as well: stack traces of the JVM, tries; and what is said of pandas' version."""
    warnings.filterwarnings("ignore", module="pyspark")
    from pyspark.logger import PySparkLogger

    PySparkLogger.getLogger("SQLQueryContextLogger").disabled = True


def _session(url: str, origin: str, timeout: timedelta) -> Any:
    from pyspark.sql.connect.client.retries import DefaultPolicy
    from pyspark.sql.connect.session import SparkSession

    spark = SparkSession.builder.channelBuilder(_builder(url, origin, timeout)).create()
    spark.client.set_retry_policies([DefaultPolicy(max_retries=_TRIES)])
    spark.client.disable_reattachable_execute()      # an answer is read once, whole, by who asked for it
    return spark


def _builder(url: str, origin: str, timeout: timedelta) -> Any:
    """Return what opens the channel. gRPC opens its sockets in C, out of the guard's sight: it is given an address that
    was looked up here, and the name for the certificate alone. `localhost` stays: a token goes there without TLS.
    """
    from pyspark.errors import PySparkException
    from pyspark.sql.connect.client import DefaultChannelBuilder

    try:
        given = DefaultChannelBuilder(url)
        port = int(given.endpoint.rpartition(":")[2])
    except (PySparkException, ValueError):
        raise SourceError(f"{origin}: its address is none of Spark Connect, expected sc://HOST:PORT") from None
    host = given.host.strip("[]")
    place = _reached(host, port, origin, min(_CONNECT_SECONDS, timeout.total_seconds()))
    named = [("grpc.enable_http_proxy", 0), ("grpc.ssl_target_name_override", host),
             ("grpc.default_authority", f"{given.host}:{port}")]
    return DefaultChannelBuilder(url if host == "localhost" else f"sc://{place}/{url[5:].partition('/')[2]}", named)


def _reached(host: str, port: int, origin: str, seconds: float) -> str:
    """Return the first address of a host, in numbers, that takes connections. Raises SourceError."""
    why = "nothing answers there"
    try:
        for *_, there in look_up(host, port):
            with suppress(OSError), socket.create_connection(there[:2], seconds):
                return f"[{there[0]}]:{port}" if ":" in there[0] else f"{there[0]}:{port}"
    except AddressRefused as error:
        why = f"the address {error}"
    except (OSError, ValueError):        # UnicodeError is a ValueError
        why = "the name of its host is not known"
    raise SourceError(f"{origin}: Spark at {quoted(host)}:{port} cannot be reached ({why}), expected a running server")


def _server(master: str, origin: str) -> str:
    """Return the address of the Spark Connect server in this process, which is started when it is first needed."""
    if master not in _started:
        _started[master] = _start(master, origin)
    return _started[master]


def _start(master: str, origin: str) -> str:
    java = os.environ.get("JAVA_HOME")
    if shutil.which(f"{java}/bin/java" if java else "java") is None:
        raise SourceError(f"{origin}: Spark needs Java, which is not there; install Java 17 or newer, or name a Spark "
                          "Connect server, sc://HOST:PORT")
    if _started:
        raise SourceError(f"{origin}: this process uses spark://{next(iter(_started))} already, and can use one; name "
                          "one in all places, or a Spark Connect server, sc://HOST:PORT")
    if _LOCAL.fullmatch(master):
        return _launched(master, _OURS | _ALONE, origin)
    for place in master.split(","):
        host, _, port = place.rpartition(":")
        if not host or not port.isdecimal():
            raise SourceError(f"{origin}: spark://{master} is no address of Spark, expected spark://local[2], "
                              "spark://HOST:PORT or sc://HOST:PORT")
        _reached(host, int(port), origin, _CONNECT_SECONDS)
    return _launched(f"spark://{master}", _OURS, origin)


def _launched(master: str, settings: dict[str, str], origin: str) -> str:
    """Start a JVM by Spark's own launcher, and return the address of the Spark Connect server in it.

    It ends as soon as the pipe to this process closes, in whatever way the process ended.
    """
    try:
        from py4j.protocol import Py4JError
        from pyspark import SparkConf, SparkContext
        from pyspark.java_gateway import launch_gateway
        from pyspark.sql import SparkSession
    except ImportError:
        raise SourceError(f"{origin}: spark:// needs Spark itself, and only the client of Spark Connect is installed; "
                          "pip install 'pyspark[connect]' in its place") from None
    from pyspark.errors import PySparkException

    conf = SparkConf().setMaster(master).setAll(list(settings.items()))
    conf.setIfMissing("spark.sql.warehouse.dir", gettempdir())     # one that exists: none is made where we run
    memory = os.environ.get(_MEMORY, "2g")
    with TemporaryFile() as said, _environment(_MEMORY, memory), _environment(_TOKEN, uuid4().hex) as token:
        try:
            context = SparkContext(conf=conf, gateway=launch_gateway(conf, {"stdout": said, "stderr": said}))
            SparkSession(context)
            services = context._jvm.org.apache.spark.sql.connect.service
            port = getattr(getattr(services, "SparkConnectService$"), "MODULE$").localPort()
        except (PySparkException, Py4JError, OSError) as error:
            said.seek(0)
            words = _first_error([*said.read().decode(errors="replace").splitlines(), str(error)])
            raise SourceError(f"{origin}: Spark could not be started ({quoted(words)}), expected one that runs within "
                              "daemon.worker_memory_mb") from None
    return f"sc://localhost:{port}/;token={token}"


def _first_error(lines: list[str]) -> str:
    return next((line for line in lines if re.search("error|exception", line, re.IGNORECASE)), lines[-1]).strip()[:300]


@contextmanager
def _environment(name: str, value: str) -> Iterator[str]:
    """Set a variable for child processes that are started inside."""
    before = os.environ.get(name)
    os.environ[name] = value
    try:
        yield value
    finally:
        os.environ.pop(name)
        if before is not None:
            os.environ[name] = before
