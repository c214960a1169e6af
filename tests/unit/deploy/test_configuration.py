import base64
import hashlib
import socket
import stat
from pathlib import Path

import pytest

from contracts.topics import RAW, REGISTRY_DEVICES, TOPICS, Principal, app_topic
from deploy.local import mosquitto
from deploy.local.accounts import caller, remove_instance, write_file
from deploy.local.instance import Instance, Ports
from deploy.local.jvm import quote
from deploy.local.kafka_access import rights_of, settings_of
from deploy.local.ports import check_free, handed_out
from deploy.local.problems import Problem


def test_a_java_argument_keeps_its_blanks_quotes_and_backslashes() -> None:
    assert quote('a b "c" \\d') == '"a b \\"c\\" \\\\d"'


def test_a_password_line_can_be_checked_as_mosquitto_does() -> None:
    user, line = mosquitto.password_line("acme/scale-1", "s3cret").strip().split(":", 1)
    _, kind, rounds, salt, digest = line.split("$")
    made = hashlib.pbkdf2_hmac("sha512", b"s3cret", base64.b64decode(salt), int(rounds))
    assert (user, kind, base64.b64decode(digest)) == ("acme/scale-1", "7", made)


def test_the_access_list_gives_devices_one_line_each_way_and_the_platforms_own_accounts_no_more_than_they_need() -> None:
    assert mosquitto.access_list().splitlines() == [
        "user agora-bridge",
        "topic read agora/v1/+/+/up/#",
        "topic write agora/v1/+/+/down/#",
        "topic write agora/v1/bridge/presence",
        "",
        "user agora-watch",
        "topic read $SYS/broker/#",
        "",
        "user agora-standby",
        "topic read agora/v1/bridge/presence",
        "",
        "pattern write agora/v1/%u/up/#",
        "pattern read agora/v1/%u/down/#",
    ]


def test_the_settings_of_a_topic_follow_its_contract() -> None:
    assert settings_of(REGISTRY_DEVICES)["cleanup.policy"] == "compact"
    assert settings_of(RAW) == {
        "cleanup.policy": "delete",
        "retention.ms": str(RAW.retention_ms),
        "max.message.bytes": str(RAW.max_message_bytes),
        "flush.messages": "1",
    }
    assert settings_of(app_topic("calm"))["message.timestamp.type"] == "LogAppendTime"


@pytest.mark.parametrize("principal", [each for each in Principal if each is not Principal.OPERATOR])
def test_a_process_has_a_right_on_a_topic_only_where_the_contract_names_it(principal: Principal) -> None:
    named = {topic.name for topic in TOPICS if principal in (*topic.readers, *topic.writers)}
    given = {right.name for right in rights_of(principal)}
    of_apps = {Principal.ROUTER: {"agora.app."}, Principal.KEEPER: {"agora.app.", "kafka-cluster", "agora-streams"}}
    assert given - named - {f"agora-{principal.value}"} <= of_apps.get(principal, set())
    assert named <= given


def test_ports_among_those_the_system_hands_out_are_told() -> None:
    ports = {"Kafka": 33092, "the gateway": 32743}
    assert handed_out(ports, "32768\t60999\n").startswith("port 33092 and others lie among those")
    assert handed_out({"Kafka": 21092}, "32768\t60999\n") == ""


def test_a_taken_port_is_told_with_who_has_it_and_what_to_do() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        with pytest.raises(
            Problem, match=rf"port {port}, which Kafka needs, is taken by .*\(process \d+\)[\s\S]*AGORA_PORT_BASE"
        ):
            check_free({"Kafka": port})


def test_a_secret_file_is_never_open_to_others_and_never_half_written(tmp_path: Path) -> None:
    path = tmp_path / "secret"
    path.write_text("old")
    path.chmod(0o644)
    write_file(path, "new", caller())
    assert (path.read_text(), stat.S_IMODE(path.stat().st_mode)) == ("new", 0o600)
    assert list(tmp_path.iterdir()) == [path]


def test_removing_an_instance_leaves_the_others_and_removing_the_last_leaves_nothing(tmp_path: Path) -> None:
    place = tmp_path / "var"
    for name in ("one", "two", "software"):
        (place / name).mkdir(parents=True)
    (place / "report.xml").touch()
    link = tmp_path / ".agora"
    link.symlink_to(place)
    remove_instance(Instance("one", Ports(24000), link))
    assert sorted(entry.name for entry in place.iterdir()) == ["report.xml", "software", "two"]
    remove_instance(Instance("two", Ports(25000), link), keep_software=True)
    assert sorted(entry.name for entry in place.iterdir()) == ["report.xml", "software"]
    remove_instance(Instance("two", Ports(25000), link))
    assert list(tmp_path.iterdir()) == []
