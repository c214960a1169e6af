"""Lines to paste while the demo runs: publish as a device, ask and read as an app, look into the database."""

from __future__ import annotations

from rich.console import Group, RenderableType
from rich.panel import Panel
from rich.text import Text

from cli.demo.people import BREATH, HEART
from cli.demo.run import Demo
from contracts.mqtt import up_topic
from simulators.patients import DeviceCredential

OXIMETER = "agora-oximeter"


def hints(demo: Demo) -> RenderableType:
    """Make the lines for the first patient who shares with an app and does not withdraw.

    Args:
        demo: before or during its run.

    Returns:
        Shell lines with the demo's own, local credentials.
    """
    role = next(role for role in demo.cast.roles if role.shares_with and not role.withdraws_from)
    app = role.shares_with[0]
    vital, unit, value = ("8867-4", "/min", 71) if app == HEART else ("59408-5", "%", 97)
    device = next(one for one in demo.cast.devices if one.subject == role.subject and one.model == OXIMETER)
    stranger = next(one for one in demo.cast.devices if one.subject != role.subject)
    sections = {
        "publish as a device": _publish(demo, device, device, vital, unit, value),
        "the same device on another's topic: refused (reason code 135)": _publish(demo, device, stranger, vital, unit, value),
        "ask as an app": _ask(demo, app, demo.pseudonyms[app].subject(role.subject), vital),
        "read the app's topic": _read(demo, app, app),
        "the same app on another's topic: refused": _read(demo, app, BREATH if app == HEART else HEART),
        "see the row": _row(demo, role.subject, vital),
    }
    text = Text()
    for heading, lines in sections.items():
        text.append(f"# {heading}\n", style="bold")
        text.append(f"{lines}\n")
    return Group(Panel("Lines to paste in another terminal; the credentials are this machine's only.", style="dim"), text)


def lines(demo: Demo) -> str:
    """Give the same as plain text."""
    from rich.console import Console

    console = Console(no_color=True, width=10_000, record=True, quiet=True)
    console.print(hints(demo))
    return console.export_text()


def _publish(demo: Demo, device: DeviceCredential, onto: DeviceCredential, vital: str, unit: str, value: int) -> str:
    topic = up_topic(onto.org, onto.device)
    payload = f'{{\\"time\\":\\"$(date -u +%FT%T.%3NZ)\\",\\"code\\":\\"{vital}\\",\\"value\\":{value},\\"unit\\":\\"{unit}\\"}}'
    return (
        f"mosquitto_pub -V 5 -q 1 -h localhost -p {demo.view.instance.ports.mqtt} --cafile '{demo.ca_file}'"
        f' -u {device.key} -P {device.password} -i {device.org}-{device.device}-by-hand -t {topic} -m "{payload}"'
    )


def _ask(demo: Demo, app: str, patient: str, vital: str) -> str:
    access = demo.cast.access[app]
    return (
        f"TOKEN=$(curl -s --cacert '{demo.ca_file}' -u {access.client_id}:{access.client_secret}"
        f" -d 'grant_type=client_credentials&scope=system/Observation.rs' {demo.gateway}/oauth/token"
        " | python3 -c 'import json,sys; print(json.load(sys.stdin)[\"access_token\"])')\n"
        f"curl -s --cacert '{demo.ca_file}' -H \"Authorization: Bearer $TOKEN\""
        f" '{demo.gateway}/fhir/Observation?patient={patient}&code={vital}&_sort=-date&_count=5' | python3 -m json.tool"
    )


def _read(demo: Demo, app: str, whose: str) -> str:
    access = demo.cast.access[app]
    return (
        f"kcat -C -b localhost:{demo.view.instance.ports.kafka_apps} -t {demo.cast.access[whose].topic} -o -3 -e -q"
        " -X security.protocol=SASL_SSL -X sasl.mechanisms=SCRAM-SHA-512"
        f" -X sasl.username={access.kafka_user} -X sasl.password={access.kafka_password} -X ssl.ca.location='{demo.ca_file}'"
    )


def _row(demo: Demo, subject: str, vital: str) -> str:
    query = f"SELECT * FROM readings WHERE subject = '{subject}' AND code = '{vital}'"  # noqa: S608 - a line to paste
    return (
        f"PGPASSWORD={demo.database.password.get_secret_value()} psql -h 127.0.0.1 -p {demo.database.port}"
        f" -U {demo.database.user} {demo.database.name}"
        f' -c "{query} ORDER BY received_at DESC LIMIT 3"'
    )
