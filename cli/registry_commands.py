"""``agora org``, ``agora subject`` and ``agora rule``; ``agora device`` stands in ``registry_device_commands``."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

import typer

from catalogue.registry import BY_CODE
from cli import registry_device_commands
from cli.registry_terms import database, notes, print_json, print_table, shown
from contracts.registry import RuleRecord
from registry import organisations, rules

PANEL = "Register"
Json = Annotated[bool, typer.Option("--json", help="For machines.")]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    org = typer.Typer(no_args_is_help=True, help="Organisations: add, list.")
    org.command("add")(org_add)
    org.command("list")(org_list)
    subject = typer.Typer(no_args_is_help=True, help="Subjects, the people whose readings flow: add, list.")
    subject.command("add")(subject_add)
    subject.command("list")(subject_list)
    rule = typer.Typer(no_args_is_help=True, help="Threshold rules beside the catalogue's default limits: set, list, remove.")
    rule.command("set")(rule_set)
    rule.command("list")(rule_list)
    rule.command("remove")(rule_remove)
    app.add_typer(org, name="org", rich_help_panel=PANEL)
    app.add_typer(subject, name="subject", rich_help_panel=PANEL)
    app.add_typer(registry_device_commands.group(), name="device", rich_help_panel=PANEL)
    app.add_typer(rule, name="rule", rich_help_panel=PANEL)


def org_add(
    name: Annotated[str, typer.Argument(help="a-z, 0-9 and '-', at most 64.")],
    display: Annotated[str, typer.Option(help="Name for people; the name itself if not given.")] = "",
) -> None:
    """Add an organisation: an SME, a clinic, a cluster of them.

    Example:
      ./agora org add clinic --display "Clinic on the Hill"
    """
    with database() as connection:
        organisations.add_organisation(connection, name, display or name)
    notes.print(f"{name} is there. Next: ./agora subject add {name} p-001 --system https://example.org/mrn --value 12345")


def org_list(json: Json = False) -> None:
    """List organisations."""
    with database() as connection:
        found = organisations.list_organisations(connection)
    if json:
        print_json([asdict(one) for one in found])
        return
    print_table(
        ("organisation", "display", "since"),
        ((one.name, one.display, shown(one.created_at)) for one in found),
        "No organisation yet. Add one: ./agora org add NAME --display 'Its name'",
    )


def subject_add(
    org: Annotated[str, typer.Argument(help="Organisation that looks after the subject.")],
    name: Annotated[str, typer.Argument(help="A code, not the person's name: a-z, 0-9 and '-', unique over the platform.")],
    system: Annotated[str, typer.Option(help="URI of the hospital's numbering.")],
    value: Annotated[str, typer.Option(help="The number in it.")],
) -> None:
    """Add a subject with the hospital's identifier.

    Example:
      ./agora subject add clinic p-001 --system https://clinic.example/mrn --value 12345
    """
    with database() as connection:
        organisations.add_subject(connection, name, org, system, value)
    notes.print(f"{name} is there. Next: ./agora device add {org}/ox-1 --model agora-oximeter --subject {name}")


def subject_list(
    org: Annotated[str | None, typer.Option("--org", help="Only this organisation's.")] = None, json: Json = False
) -> None:
    """List subjects."""
    with database() as connection:
        found = organisations.list_subjects(connection, org)
    if json:
        print_json([asdict(one) for one in found])
        return
    print_table(
        ("subject", "organisation", "identifier system", "identifier", "since"),
        ((one.name, one.org, one.identifier_system, one.identifier_value, shown(one.created_at)) for one in found),
        "No subject yet. Add one: ./agora subject add --help",
    )


def rule_set(
    name: Annotated[str, typer.Argument(help="Name of the rule: a-z, 0-9 and '-'; an existing one is replaced.")],
    vital: Annotated[str, typer.Option(help="LOINC code of the vital.")],
    subject: Annotated[str | None, typer.Option(help="Only for this subject; else for everybody.")] = None,
    low: Annotated[float | None, typer.Option(help="Raise below this, in the vital's unit.")] = None,
    high: Annotated[float | None, typer.Option(help="Raise above this.")] = None,
    critical_low: Annotated[float | None, typer.Option(help="Critical below this.")] = None,
    critical_high: Annotated[float | None, typer.Option(help="Critical above this.")] = None,
    hysteresis: Annotated[float, typer.Option(min=0, help="How far inside a limit a value must be to resolve.")] = 0.0,
    persistence: Annotated[float, typer.Option(min=0, help="Seconds a value must stay outside to raise.")] = 0.0,
    source: Annotated[str, typer.Option(help="Where the limits come from.")] = "",
    disabled: Annotated[bool, typer.Option("--disabled", help="Keep the rule, but switch it off.")] = False,
) -> None:
    """Add or change a threshold rule; it holds from the next reading on.

    A subject's own rules stand in for those for everybody, and these for the catalogue's; of each kind several hold side by side.

    Example:
      ./agora rule set p-001-heart --vital 8867-4 --subject p-001 --low 45 --high 120 --hysteresis 3 --source "Dr. Example"
    """
    record = RuleRecord.model_construct(
        rule=name, vital=vital, subject=subject, low=low, high=high, critical_low=critical_low, critical_high=critical_high,
        hysteresis=hysteresis, persistence_seconds=persistence, source=source, enabled=not disabled,
    )  # fmt: skip
    with database() as connection:
        rules.set_rule(connection, record)
    known = BY_CODE[vital]
    notes.print(
        f"{name} watches {known.display} ({known.unit}) of {subject or 'everybody'}"
        + (", but is switched off." if disabled else ".")
    )


def rule_list(json: Json = False) -> None:
    """List threshold rules; the catalogue's default limits are not among them."""
    with database() as connection:
        found = rules.list_rules(connection)
    if json:
        print_json([record.model_dump(mode="json", exclude={"version"}) for record in found])
        return
    print_table(
        ("rule", "vital", "subject", "low!", "low", "high", "high!", "unit", "hyst.", "sec.", "state"),
        (_rule_row(record) for record in found),
        "No rule of your own; the catalogue's default limits hold (docs/reference/vitals.md).",
    )


def _rule_row(record: RuleRecord) -> tuple[str, ...]:
    limits = (
        "" if limit is None else f"{limit:g}" for limit in (record.critical_low, record.low, record.high, record.critical_high)
    )
    vital = BY_CODE[record.vital]
    rest = vital.unit, f"{record.hysteresis:g}", f"{record.persistence_seconds:g}", "on" if record.enabled else "off"
    return record.rule, vital.short, record.subject or "everybody", *limits, *rest


def rule_remove(name: Annotated[str, typer.Argument(help="The rule.")]) -> None:
    """Take a rule away."""
    with database() as connection:
        rules.remove_rule(connection, name)
    notes.print(f"{name} is gone; what other rules say holds, else the catalogue's default limits.")
