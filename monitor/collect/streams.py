"""Which kind of stream an address is of."""

from importlib import import_module

from monitor.collect.address import Address
from monitor.collect.stream import Stream
from monitor.errors import UsageError

# kind: its module, class, the package of its client, and driftd's extra that installs it
_KINDS = {
    "redis": ("redis_stream", "RedisStream", "redis", "redis"),
    "kafka": ("kafka_topic", "KafkaTopic", "confluent_kafka", "kafka"),
}


def stream_of(address: Address, topic: str) -> Stream:
    """Raises UsageError where its client is not installed."""
    module, name, package, extra = _KINDS[address.kind]
    try:
        import_module(package)
    except ImportError:
        raise UsageError(f"{address.kind}:// needs the extra: pip install \"driftd[{extra}]\"") from None
    stream: Stream = getattr(import_module(f"monitor.collect.{module}"), name)(address, topic)
    return stream
