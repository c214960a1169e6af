"""mosquitto, the MQTT broker: a name and password for everybody, and each device pinned to its own branch of topics.

Its port speaks TLS only. The bridge on the same machine comes by a Unix socket, whose folder nobody else may enter.

A client's id is its user name, whatever it asks for: otherwise a device could take over the session of another, or of the
bridge, just by naming itself alike, and receive or discard what was queued there. So one account has one connection at a time:
a second one of the same device ends the first.
"""

from __future__ import annotations

import base64
import hashlib
import os
import re
import secrets
import socket
import ssl
import subprocess
import threading
from collections.abc import Mapping
from pathlib import Path

from paho.mqtt.client import Client
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion

from contracts.mqtt import PRESENCE, ROOT, UP_FILTER
from deploy.local.accounts import Account, caller, make_folder, write_file
from deploy.local.certificates import Certificates
from deploy.local.child import Command
from deploy.local.credentials import MQTT_BRIDGE, MQTT_PROBE, MQTT_STANDBY, MQTT_WATCH, Credentials
from deploy.local.instance import Instance
from deploy.local.profiles import Profile
from deploy.local.software import Software

MESSAGE_MAX_BYTES = 256 * 1024
"""A device's largest message: half a frame, which must hold it with its surroundings."""
PACKET_MAX_BYTES = MESSAGE_MAX_BYTES + 8 * 1024
QUEUED_BYTES_EACH = 750
"""What a queued message of one reading that asks for its receipt costs the broker (measured)."""
PACKET_LINES = r"(Received|Sending) [A-Z]+ |No will message|^[^ ]+ \t|Will message|^\t"
"""What mosquitto tells of every single packet at the level at which it tells of a forbidden publish."""
WITHOUT_PACKETS = 'exec "$@" > >(exec grep --line-buffered -vE "$0") 2>&1'
"""The shell becomes the broker, so that the process id is the broker's; what it writes goes by way of a filter."""
HASH_ROUNDS = 101
"""mosquitto's own figure. The passwords are long random strings, which no number of guesses finds."""
SOCKET = "socket"
"""The broker is told its name only, and works in its folder: a path with a blank would end at the blank."""
SOCKET_PATH_BYTES = 107
"""The most that Linux takes (unix(7)); one less than its field, for the zero behind."""
FILE_MODE = 0o640
"""Of the password file and the access list: the caller writes, the broker's group reads."""


class Mosquitto:
    """The MQTT broker's folders, configuration and commands in one instance.

    Args:
        instance: where it runs.
        account: who runs it.
        software: its program.
    """

    def __init__(self, instance: Instance, account: Account, software: Software) -> None:
        self._instance = instance
        self._account = account
        self._software = software
        self._data = instance.server_data("mosquitto")
        self._configuration = instance.config / "mosquitto.conf"
        self._denials_logged = False

    def configure(self, credentials: Credentials, certificates: Certificates, profile: Profile) -> None:
        """Write configuration, access list and the services' accounts; devices' passwords that are there stay."""
        make_folder(self._data, 0o700, self._account)
        readers = Account(caller().uid, self._account.gid)
        accounts = service_accounts(self._instance)
        if not _same_users(accounts, credentials.mqtt):
            lines = (password_line(user, password) for user, password in credentials.mqtt.items())
            write_file(accounts, "".join(lines), readers, FILE_MODE)
        if not password_file(self._instance).exists():
            write_file(password_file(self._instance), accounts.read_text(), readers, FILE_MODE)
        write_file(self._access_list, access_list(), readers, FILE_MODE)
        write_file(self._configuration, self._settings(certificates, profile), self._account)
        self._denials_logged = profile.broker_denials_logged

    def command(self) -> Command:
        """Give the command that runs the broker."""
        program = [str(self._software.mosquitto), "-c", str(self._configuration)]
        arguments = ["bash", "-c", WITHOUT_PACKETS, PACKET_LINES, *program] if self._denials_logged else program
        variables = {"PATH": "/usr/bin:/bin", "LANG": "C.UTF-8"}
        return Command("mosquitto", arguments, variables, self._data, self._account, pid_file=pid_file(self._instance))

    @property
    def _access_list(self) -> Path:
        return self._instance.broker / "access"

    def _settings(self, certificates: Certificates, profile: Profile) -> str:
        queue_bytes = profile.broker_queue_mib * 1024 * 1024
        values = [
            f"listener {self._instance.ports.mqtt} 127.0.0.1",
            f"certfile {certificates.mqtt}",
            f"keyfile {certificates.mqtt.with_suffix('.key')}",
            "tls_version tlsv1.2",
            "use_username_as_clientid true",
            "allow_anonymous false",
            f"password_file {password_file(self._instance)}",
            f"acl_file {self._access_list}",
            f"message_size_limit {MESSAGE_MAX_BYTES}",
            f"max_packet_size {PACKET_MAX_BYTES}",
            # What may wait for one client. Past it the broker drops, and counts what it dropped: the keeper watches the count.
            f"max_queued_messages {queue_bytes // QUEUED_BYTES_EACH}",
            f"max_queued_bytes {queue_bytes}",
            "max_inflight_messages 65535",
            "set_tcp_nodelay true",
            # A retained message stays in memory for ever, one for each topic, and a device may choose its topics below its name.
            "retain_available false",
            "persistence true",
            f"persistence_location {self._data}/",
            "autosave_interval 60",
            "persistent_client_expiration 7d",
            "sys_interval 10",
            "log_dest stderr",
            "log_type error",
            "log_type warning",
            "log_type notice",
            *(["log_type debug"] if profile.broker_denials_logged else []),
            "log_timestamp_format %Y-%m-%dT%H:%M:%S%z",
        ]
        if unix_socket(self._instance):
            values += [f"listener 0 {SOCKET}", "use_username_as_clientid true"]
        return "\n".join(values) + "\n"


def password_file(instance: Instance) -> Path:
    """Give the broker's password file; the keeper writes it (the services' accounts, then the devices')."""
    return instance.broker / "passwords"


def service_accounts(instance: Instance) -> Path:
    """Give the file of the services' own password lines, which the keeper puts in front of the devices'."""
    return instance.broker / "services"


def pid_file(instance: Instance) -> Path:
    """Give the file with the broker's process id, for the signal to read its passwords again."""
    return instance.run / "mosquitto.pid"


def unix_socket(instance: Instance) -> Path | None:
    """Give the broker's Unix socket, for the bridge on the same machine; its folder is closed to all but the broker's account.

    Returns:
        None where the path is longer than a socket's may be, or the disk takes no sockets, as some shared folders do.
    """
    path = instance.server_data("mosquitto") / SOCKET
    return path if len(os.fsencode(path)) <= SOCKET_PATH_BYTES and _takes_sockets(path.parent) else None


def _takes_sockets(folder: Path) -> bool:
    """Try it, in the folder or in what is there of its parents: a broker told to make one where it cannot does not start."""
    there = next(one for one in (folder, *folder.parents) if one.is_dir())
    trial = there / secrets.token_hex(len(SOCKET) // 2)
    try:
        with socket.socket(socket.AF_UNIX) as near:
            near.bind(os.fsencode(trial))
        trial.unlink()
    except OSError:
        return False
    return True


def access_list() -> str:
    """Give the broker's access list: one pattern line each for what devices send and receive, and the bridge's rights."""
    lines = [
        f"user {MQTT_BRIDGE}",
        f"topic read {UP_FILTER}",
        f"topic write {ROOT}/+/+/down/#",
        f"topic write {PRESENCE}",
        "",
        f"user {MQTT_WATCH}",
        "topic read $SYS/broker/#",
        "",
        f"user {MQTT_STANDBY}",
        f"topic read {PRESENCE}",
        "",
        f"pattern write {ROOT}/%u/up/#",
        f"pattern read {ROOT}/%u/down/#",
    ]
    return "\n".join(lines) + "\n"


def password_line(user: str, password: str) -> str:
    """Give a line of mosquitto's password file: salted PBKDF2 with SHA-512."""
    salt = secrets.token_bytes(12)
    digest = hashlib.pbkdf2_hmac("sha512", password.encode(), salt, HASH_ROUNDS)
    return f"{user}:$7${HASH_ROUNDS}${base64.b64encode(salt).decode()}${base64.b64encode(digest).decode()}\n"


def _same_users(accounts: Path, passwords: Mapping[str, str]) -> bool:
    names = {line.split(":", 1)[0] for line in accounts.read_text().splitlines()} if accounts.exists() else set()
    return names == set(passwords)


def version(program: Path) -> str:
    """Give the broker's version."""
    said = subprocess.run([program, "-h"], capture_output=True, text=True, check=False).stdout
    found = re.search(r"version (\S+)", said)
    return found.group(1) if found else ""


def answers(settings: Mapping[str, str]) -> bool:
    """Say whether the broker answers over TLS and, where it is ours, lets the probe's account in.

    On a broker that existed before there is only the bridge's account; to come in with that would end the bridge's session.

    Args:
        settings: the ``AGORA_MQTT_…`` settings of the probe.
    """
    return _lets_in(settings) if settings["AGORA_MQTT_USERNAME"] == MQTT_PROBE else _speaks_tls(settings)


def _speaks_tls(settings: Mapping[str, str]) -> bool:
    context = ssl.create_default_context(cafile=settings["AGORA_MQTT_CA_FILE"])
    host, port = settings["AGORA_MQTT_HOST"], int(settings["AGORA_MQTT_PORT"])
    try:
        with socket.create_connection((host, port), timeout=5) as plain, context.wrap_socket(plain, server_hostname=host):
            return True
    except OSError:
        return False


def _lets_in(settings: Mapping[str, str]) -> bool:
    decided = threading.Event()
    welcome = []

    def on_connect(_client: Client, _data: object, _flags: object, reason: object, _properties: object) -> None:
        welcome.append(str(reason) == "Success")
        decided.set()

    client = Client(CallbackAPIVersion.VERSION2, client_id=settings["AGORA_MQTT_USERNAME"], protocol=MQTTProtocolVersion.MQTTv5)
    client.username_pw_set(settings["AGORA_MQTT_USERNAME"], settings["AGORA_MQTT_PASSWORD"])
    client.tls_set_context(ssl.create_default_context(cafile=settings["AGORA_MQTT_CA_FILE"]))
    client.on_connect = on_connect
    try:
        client.connect(settings["AGORA_MQTT_HOST"], int(settings["AGORA_MQTT_PORT"]))
    except OSError:
        return False
    client.loop_start()
    decided.wait(3)
    client.disconnect()
    client.loop_stop()
    return welcome == [True]
