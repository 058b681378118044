"""A topic of Kafka, all its partitions, read from the positions in the folder.

librdkafka opens its sockets in C, out of the guard's sight: the hosts of the address are looked up and checked before
it is given them, and those that the cluster names before a partition is read. It looks names up itself again.
"""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

from monitor.collect.address import Address
from monitor.collect.stream import Away, Message, message
from monitor.errors import SourceError
from monitor.outgoing import trust
from monitor.outgoing.guard import AddressRefused, look_up
from monitor.times import elapsed

GROUP = "driftd"                 # under which positions are told to the brokers, for those who look at them
_AT_ONCE = 10_000                # messages
_PATIENCE = 10.0                 # seconds for an answer
_QUIET = 0.5                     # seconds that a read waits
_LOOK = 60.0                     # seconds between looks for new partitions


class KafkaTopic:
    def __init__(self, address: Address, topic: str) -> None:
        self.name = f"topic {topic} of {address.shown}"
        self.gaps: list[str] = []
        self._address, self._topic = address, topic
        self._consumer: Any = None
        self._error: Any = None
        self._after: Mapping[str, str] = {}
        self._partitions: set[int] = set()
        self._ended: set[int] = set()
        self._looked = 0.0

    def open(self, after: Mapping[str, str]) -> None:
        from confluent_kafka import Consumer, KafkaException

        self.close()
        self._after, self._partitions, self._ended, self._error = after, set(), set(), None
        self._check(self._address.hosts)
        try:
            self._consumer = Consumer(self._settings())
            self._look_at()
        except KafkaException as error:
            raise self._words(error.args[0]) from None

    def read(self) -> Sequence[Message]:
        from confluent_kafka import KafkaError, KafkaException

        try:
            if elapsed() - self._looked > _LOOK:
                self._look_at()
            found = self._consumer.consume(_AT_ONCE, _QUIET)
        except KafkaException as error:
            raise self._words(error.args[0]) from None
        read = []
        for one in found:
            wrong = one.error()
            if wrong is None:
                self._ended.discard(one.partition())
                read.append(message(str(one.partition()), str(one.offset()), one.value()))
            elif wrong.code() == KafkaError._PARTITION_EOF:
                self._ended.add(one.partition())
            else:
                self._error = wrong                  # said once what came with it has been taken
        if not read and self._error is not None:
            raise self._words(self._error)
        return read

    @property
    def drained(self) -> bool:
        return self._ended >= self._partitions

    def note(self, after: Mapping[str, str]) -> None:
        from confluent_kafka import KafkaException, TopicPartition

        places = [TopicPartition(self._topic, int(number), int(offset) + 1) for number, offset in after.items()]
        with suppress(KafkaException):               # what counts is in the folder
            self._consumer.commit(offsets=places, asynchronous=True)

    def close(self) -> None:
        if self._consumer is not None:
            self._consumer.close()
            self._consumer = None

    def _look_at(self) -> None:
        """Begin with the partitions that are not read yet."""
        from confluent_kafka import OFFSET_BEGINNING, KafkaError, TopicPartition

        self._looked = elapsed()
        found = self._consumer.list_topics(self._topic, _PATIENCE)
        topic = found.topics[self._topic]
        if topic.error is not None:
            if topic.error.code() == KafkaError.UNKNOWN_TOPIC_OR_PART:
                raise Away(f"{self.name}: there is no such topic, expected one to read")
            raise self._words(topic.error)
        self._check([(broker.host, broker.port) for broker in found.brokers.values()])
        new = sorted(set(topic.partitions) - self._partitions)
        offsets = [self._offset(TopicPartition(self._topic, number), self._after.get(str(number))) for number in new]
        begin = [OFFSET_BEGINNING if offset is None else offset for offset in offsets]
        if new:
            self._consumer.incremental_assign(
                [TopicPartition(self._topic, number, offset) for number, offset in zip(new, begin, strict=True)])
        self._partitions |= set(new)

    def _offset(self, place: Any, last: str | None) -> int | None:
        """Return the offset to begin at; note what had gone before it was read."""
        if last is None:
            return None
        first, end = map(int, self._consumer.get_watermark_offsets(place, _PATIENCE))
        wanted = int(last) + 1
        if wanted > end:
            raise SourceError(f"{self.name}: partition {place.partition} ends before offset {end}, but the folder "
                              f"holds messages up to {last}: it is another topic; collect it into another folder")
        if wanted < first:
            self.gaps.append(f"{self.name}: {first - wanted} messages of partition {place.partition}, offsets {wanted} "
                             f"to {first - 1}, had gone before they were read")
        return max(wanted, first)

    def _check(self, hosts: Sequence[tuple[str, int]]) -> None:
        for host, port in hosts:
            try:
                look_up(host, port)
            except AddressRefused as error:
                raise SourceError(f"{self.name}: the address of {host} {error}") from None
            except OSError:
                raise Away(f"{self.name}: the name of the host {host} is not known") from None

    def _settings(self) -> dict[str, Any]:
        address = self._address
        login = {"sasl.mechanism": address.mechanism, "sasl.username": address.user, "sasl.password": address.password}
        protocol = ("SASL_" if address.user else "") + ("SSL" if address.tls else "PLAINTEXT")
        return {
            "bootstrap.servers": ",".join(f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
                                          for host, port in address.hosts),
            "group.id": GROUP, "enable.auto.commit": False, "enable.auto.offset.store": False,
            "enable.partition.eof": True, "auto.offset.reset": "error", "allow.auto.create.topics": False,
            "security.protocol": protocol, **({"ssl.ca.location": trust.store()} if address.tls else {}),
            **(login if address.user else {}), "error_cb": self._note_error, "log_level": 0,
        }

    def _note_error(self, error: Any) -> None:
        from confluent_kafka import KafkaError

        if error.code() in (KafkaError._ALL_BROKERS_DOWN, KafkaError._AUTHENTICATION) or error.fatal():
            self._error = error

    def _words(self, error: Any) -> SourceError:
        """Return the sentence about an error; what came to the callback says more than that time ran out."""
        from confluent_kafka import KafkaError

        refused = (KafkaError._AUTHENTICATION, KafkaError.SASL_AUTHENTICATION_FAILED,
                   KafkaError.TOPIC_AUTHORIZATION_FAILED, KafkaError.CLUSTER_AUTHORIZATION_FAILED)
        if self._consumer is not None:
            self._consumer.poll(0)                   # calls the callback; a message that comes is read again
        for known in (error, self._error):
            if known is not None and known.code() in refused:
                return SourceError(f"{self.name}: the cluster refuses user and password, or what they may read: "
                                   f"{known.str()}; see --user, --password and --sasl")
        return Away(f"{self.name}: the cluster cannot be read now ({error.str()})")
