"""Lines to paste while the demo runs: publish as a device, ask and read as an app, look into the database."""

from __future__ import annotations

import os
from pathlib import Path

from rich.console import Group, RenderableType
from rich.panel import Panel
from rich.text import Text

from cli import kcat
from cli.demo.people import BREATH, HEART
from cli.demo.run import Demo
from contracts.mqtt import up_topic
from simulators.patients import DeviceCredential

OXIMETER = "agora-oximeter"
PUBLISH = "publish as a device"
ASK = "ask as an app"
READ = "read the app's topic"
ROW = "see the row"
FOREIGN_PUBLISH = "the same device on another's topic: refused"
FOREIGN_READ = "the same app on another's topic: refused"
STRANGER = "a patient who shares nothing with the app: empty, and on record (./agora access)"


def hints(demo: Demo) -> RenderableType:
    """Show the lines.

    Args:
        demo: before or during its run.
    """
    text = Text()
    for heading, lines in sections(demo).items():
        text.append(f"# {heading}\n", style="bold")
        text.append(f"{lines}\n")
    return Group(Panel(f"Lines to paste in another terminal, also in {kept_in(demo)}", style="dim"), text)


def kept_in(demo: Demo) -> Path:
    """Give the file that ``keep`` writes."""
    return demo.view.instance.credentials / "demo-lines.sh"


def keep(demo: Demo) -> None:
    """Write the lines, which hold passwords, to a file of the owner alone: the live picture pushes them off the screen."""
    text = "".join(f"# {heading}\n{lines}\n\n" for heading, lines in sections(demo).items())
    path = kept_in(demo)
    path.unlink(missing_ok=True)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(text)


def sections(demo: Demo) -> dict[str, str]:
    """Make the lines for the first patient who shares with an app and does not withdraw.

    Args:
        demo: before or during its run.

    Returns:
        By heading, shell lines with the demo's own, local credentials.
    """
    role = next(role for role in demo.cast.roles if role.shares_with and not role.withdraws_from)
    stranger = next(role for role in demo.cast.roles if not role.shares_with)
    app = role.shares_with[0]
    other = BREATH if app == HEART else HEART
    vital, unit, value = ("8867-4", "/min", 71) if app == HEART else ("59408-5", "%", 97)
    device = next(one for one in demo.cast.devices if one.subject == role.subject and one.model == OXIMETER)
    foreign = next(one for one in demo.cast.devices if one.subject != role.subject)
    known_as = demo.pseudonyms[app].subject
    return {
        PUBLISH: _publish(demo, device, device, vital, unit, value),
        ASK: _token(demo, app) + "\n" + _ask(demo, known_as(role.subject), vital),
        READ: _read(demo, app, app),
        ROW: _row(demo, role.subject, vital),
        FOREIGN_PUBLISH: _publish(demo, device, foreign, vital, unit, value),
        FOREIGN_READ: _read(demo, app, other),
        STRANGER: _token(demo, app) + "\n" + _ask(demo, known_as(stranger.subject), vital),
    }


def _publish(demo: Demo, device: DeviceCredential, onto: DeviceCredential, vital: str, unit: str, value: int) -> str:
    topic = up_topic(onto.org, onto.device)
    payload = f'{{\\"time\\":\\"$(date -u +%FT%T.%3NZ)\\",\\"code\\":\\"{vital}\\",\\"value\\":{value},\\"unit\\":\\"{unit}\\"}}'
    return (
        f"mosquitto_pub -V 5 -q 1 -h localhost -p {demo.view.instance.ports.mqtt} --cafile '{demo.ca_file}'"
        f' -u {device.key} -P {device.password} -i {device.org}-{device.device}-by-hand -t {topic} -m "{payload}"'
    )


def _token(demo: Demo, app: str) -> str:
    access = demo.cast.access[app]
    return (
        f"TOKEN=$(curl -s --cacert '{demo.ca_file}' -u {access.client_id}:{access.client_secret}"
        f" -d 'grant_type=client_credentials&scope=system/Observation.rs' {demo.gateway}/oauth/token"
        " | python3 -c 'import json,sys; print(json.load(sys.stdin)[\"access_token\"])')"
    )


def _ask(demo: Demo, patient: str, vital: str) -> str:
    return (
        f"curl -s --cacert '{demo.ca_file}' -H \"Authorization: Bearer $TOKEN\""
        f" '{demo.gateway}/fhir/Observation?patient={patient}&code={vital}&_sort=-date&_count=5' | python3 -m json.tool"
    )


def _read(demo: Demo, app: str, whose: str) -> str:
    access = demo.cast.access[app]
    last_minute = "s@$((($(date +%s) - 60) * 1000))"
    return (
        f"{kcat.command()} -C -b localhost:{demo.view.instance.ports.kafka_apps}"
        f" -t {demo.cast.access[whose].topic} -e -q -o {last_minute}"
        " -X security.protocol=SASL_SSL -X sasl.mechanisms=SCRAM-SHA-512"
        f" -X sasl.username={access.kafka_user} -X sasl.password={access.kafka_password}"
        f" -X ssl.ca.location='{demo.ca_file}' | tail -n 3"
    )


def _row(demo: Demo, subject: str, vital: str) -> str:
    query = f"SELECT * FROM readings WHERE subject = '{subject}' AND code = '{vital}'"  # noqa: S608 - a line to paste
    return (
        f"PGPASSWORD={demo.database.password.get_secret_value()} psql -h 127.0.0.1 -p {demo.database.port}"
        f" -U {demo.database.user} {demo.database.name}"
        f' -c "{query} ORDER BY received_at DESC LIMIT 3"'
    )
