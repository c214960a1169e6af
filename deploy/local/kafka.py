"""Kafka: one node that is broker and controller, with a password on every listener."""

from __future__ import annotations

import base64
import secrets
import subprocess
from collections.abc import Mapping
from pathlib import Path

from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import AdminClient

from contracts.topics import FRAME_BYTES, Principal
from deploy.local.accounts import Account, caller, empty_folder, make_folder, write_file
from deploy.local.certificates import Certificates
from deploy.local.child import Command
from deploy.local.credentials import KAFKA_BROKER, Credentials
from deploy.local.instance import Instance
from deploy.local.jvm import write_arguments
from deploy.local.problems import Problem
from deploy.local.profiles import Profile
from deploy.local.software import Software

MECHANISM = "SCRAM-SHA-512"
LOGIN = "org.apache.kafka.common.security.scram.ScramLoginModule required"
REQUEST_BYTES = 64 * FRAME_BYTES
SEGMENT_BYTES = 64 * 1024 * 1024
CIPHER_SUITES = (
    "TLS_CHACHA20_POLY1305_SHA256",
    "TLS_AES_256_GCM_SHA384",
    "TLS_AES_128_GCM_SHA256",
    "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256",
    "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384",
    "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256",
)
"""For apps, the first that both sides know. Java's first compiler, which runs alone here (``profiles.QUICK_START``), encrypts
160 MB a second with ChaCha20 and 30 with AES, for which only the second one uses the processor's own instructions (measured)."""
LOGGING = """\
status = warn
appenders = console
appender.console.type = Console
appender.console.name = console
appender.console.layout.type = PatternLayout
appender.console.layout.pattern = %d{yyyy-MM-dd'T'HH:mm:ss.SSSXXX} %p %c{1}: %m%n
rootLogger.level = warn
rootLogger.appenderRefs = console
rootLogger.appenderRef.console.ref = console
loggers = server, access
logger.server.name = kafka.server
logger.server.level = info
# One line for each request that was refused: who, what, from where.
logger.access.name = kafka.authorizer.logger
logger.access.level = info
"""


class Kafka:
    """Kafka's folders, configuration and commands in one instance.

    Args:
        instance: where it runs.
        account: who runs it.
        software: its programs.
    """

    def __init__(self, instance: Instance, account: Account, software: Software) -> None:
        self._instance = instance
        self._account = account
        self._software = software
        self._config = instance.config / "kafka"
        self._data = instance.server_data("kafka")
        self._formatted = instance.data / "kafka.formatted"

    def configure(self, credentials: Credentials, certificates: Certificates, profile: Profile) -> None:
        """Write the configuration, and format the storage when it is new or was left half-formatted."""
        make_folder(self._config, 0o700, self._account)
        make_folder(self._data, 0o700, self._account)
        write_file(self._config / "log4j2.properties", LOGGING, self._account)
        write_file(self._properties, self._server_properties(credentials, certificates, profile), self._account)
        heap = f"{profile.kafka_heap_mib}m"
        options = [
            f"-Xmx{heap}",
            f"-Xms{heap}",
            "-XX:+UseSerialGC",
            "-XX:MaxMetaspaceSize=128m",
            "-XX:+ExitOnOutOfMemoryError",
            *profile.kafka_options,
        ]
        write_arguments(
            self._config / "server.args", [*options, *self._common(), "kafka.Kafka", str(self._properties)], self._account
        )
        if not self._formatted.exists():
            self._format(credentials)

    def command(self) -> Command:
        """Give the command that runs the server."""
        arguments = [str(self._software.java), f"@{self._config / 'server.args'}"]
        return Command("kafka", arguments, _environment(), self._data, self._account)

    @property
    def _properties(self) -> Path:
        return self._config / "server.properties"

    def _common(self) -> list[str]:
        return [
            "-Djava.awt.headless=true",
            f"-Dlog4j2.configurationFile={self._config / 'log4j2.properties'}",
            f"-Djava.io.tmpdir={self._data}",  # compression unpacks native code, which /tmp may forbid
            "-cp",
            f"{self._software.kafka_jars}/*",
        ]

    def _format(self, credentials: Credentials) -> None:
        empty_folder(self._data)
        cluster = "A" + base64.urlsafe_b64encode(secrets.token_bytes(16)).decode()[1:22]  # must not begin with a dash
        users = []
        for user in (KAFKA_BROKER, Principal.OPERATOR.value):  # the others are made through the running server
            users += ["--add-scram", f"{MECHANISM}=[name={user},password={credentials.kafka[user]}]"]
        arguments = [
            "-Xmx128m",
            *self._common(),
            "kafka.tools.StorageTool",
            "format",
            "-t",
            cluster,
            "-c",
            str(self._properties),
            *users,
        ]
        path = write_arguments(self._config / "format.args", arguments, self._account)
        ids = {"user": self._account.uid, "group": self._account.gid, "extra_groups": []} if caller().uid == 0 else {}
        done = subprocess.run(  # type: ignore[call-overload]
            [str(self._software.java), f"@{path}"],
            env=_environment(),
            cwd=self._data,
            capture_output=True,
            text=True,
            check=False,
            **ids,
        )
        path.unlink()
        if done.returncode:
            raise Problem(f"Kafka's storage could not be formatted: {(done.stderr or done.stdout).strip()[-600:]}")
        write_file(self._formatted, cluster, caller())

    def _server_properties(self, credentials: Credentials, certificates: Certificates, profile: Profile) -> str:
        ports = self._instance.ports
        broker_login = f'{LOGIN} username="{KAFKA_BROKER}" password="{credentials.kafka[KAFKA_BROKER]}";'
        values = {
            "process.roles": "broker,controller",
            "node.id": "1",
            "controller.quorum.voters": f"1@127.0.0.1:{ports.kafka_controller}",
            "listeners": f"INTERNAL://127.0.0.1:{ports.kafka_internal},APPS://127.0.0.1:{ports.kafka_apps},"
            f"CONTROLLER://127.0.0.1:{ports.kafka_controller}",
            "advertised.listeners": f"INTERNAL://127.0.0.1:{ports.kafka_internal},APPS://localhost:{ports.kafka_apps}",
            "listener.security.protocol.map": "INTERNAL:SASL_PLAINTEXT,APPS:SASL_SSL,CONTROLLER:SASL_PLAINTEXT",
            "controller.listener.names": "CONTROLLER",
            "inter.broker.listener.name": "INTERNAL",
            "sasl.enabled.mechanisms": MECHANISM,
            "sasl.mechanism.inter.broker.protocol": MECHANISM,
            "sasl.mechanism.controller.protocol": MECHANISM,
            "listener.name.internal.scram-sha-512.sasl.jaas.config": broker_login,
            "listener.name.controller.scram-sha-512.sasl.jaas.config": broker_login,
            "listener.name.apps.scram-sha-512.sasl.jaas.config": f"{LOGIN};",
            "listener.name.apps.ssl.keystore.type": "PEM",
            "listener.name.apps.ssl.keystore.location": str(certificates.kafka),
            "listener.name.apps.ssl.cipher.suites": ",".join(CIPHER_SUITES),
            "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
            "super.users": f"User:{KAFKA_BROKER};User:{Principal.OPERATOR.value}",
            "allow.everyone.if.no.acl.found": "false",
            "auto.create.topics.enable": "false",
            "log.dirs": str(self._data / "log"),
            "log.segment.bytes": str(SEGMENT_BYTES),
            "log.cleaner.dedupe.buffer.size": str(16 * 1024 * 1024),
            "message.max.bytes": str(FRAME_BYTES),
            "replica.fetch.max.bytes": str(FRAME_BYTES),
            "socket.request.max.bytes": str(REQUEST_BYTES),
            "num.network.threads": "2",
            "num.io.threads": "8",  # one that flushes serves nobody else meanwhile
            "offsets.topic.replication.factor": "1",
            "offsets.topic.num.partitions": "8",
            "transaction.state.log.replication.factor": "1",
            "transaction.state.log.num.partitions": "4",
            "transaction.state.log.min.isr": "1",
            "share.coordinator.state.topic.replication.factor": "1",
            "share.coordinator.state.topic.min.isr": "1",
            "default.replication.factor": "1",
            "group.initial.rebalance.delay.ms": "0",
            "group.min.session.timeout.ms": "1000",
        }
        if profile.kafka_flushes:
            # Also of the groups' offsets: no position stands ahead of what it tells about after a power cut (ADR 16).
            values["log.flush.interval.messages"] = "1"
        return "".join(f"{key}={_escape(value)}\n" for key, value in values.items())


def _escape(value: str) -> str:
    return value.replace("\\", "\\\\")


def _environment() -> dict[str, str]:
    return {"PATH": "/usr/local/bin:/usr/bin:/bin", "LANG": "C.UTF-8"}


def client(settings: Mapping[str, str]) -> dict[str, str | int]:
    """Turn a user's ``AGORA_KAFKA_…`` settings into a client's."""
    values: dict[str, str | int] = {
        "bootstrap.servers": settings["AGORA_KAFKA_BOOTSTRAP"],
        "security.protocol": settings["AGORA_KAFKA_SECURITY"],
        "sasl.mechanism": MECHANISM,
        "sasl.username": settings["AGORA_KAFKA_USERNAME"],
        "sasl.password": settings["AGORA_KAFKA_PASSWORD"],
        "log_level": 0,
    }
    if settings["AGORA_KAFKA_SECURITY"] == "SASL_SSL":
        values["ssl.ca.location"] = settings["AGORA_KAFKA_CA_FILE"]
    return values


def answers(settings: dict[str, str | int]) -> bool:
    """Say whether the server lets us in and names its brokers.

    Raises:
        Problem: it answers, and refuses our password.
    """
    refused: list[KafkaError] = []

    def notice(error: KafkaError) -> None:
        if error.code() == KafkaError._AUTHENTICATION:
            refused.append(error)

    try:
        found = AdminClient(settings | {"error_cb": notice, "socket.timeout.ms": 2000}).list_topics(timeout=2)
    except KafkaException:
        if refused:
            raise Problem(
                "Kafka refused the operator's password", "If its data is older than the credentials: ./agora down --purge"
            ) from None
        return False
    return bool(found.brokers)
