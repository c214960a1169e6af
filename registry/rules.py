"""Threshold rules. A vital's default limits stand in the catalogue and need no row here."""

from __future__ import annotations

from psycopg.types.json import Jsonb

from contracts.registry import RuleRecord
from contracts.topics import REGISTRY_RULES
from registry import outbox
from registry.loans import subject_key
from registry.outbox import Database
from registry.records import checked_name, checked_rule
from registry.refusal import Refused


def set_rule(connection: Database, rule: RuleRecord) -> int:
    """Add a rule or change it; it holds from the next reading on, without a restart.

    Args:
        connection: operator's.
        rule: limits in the vital's canonical unit.

    Returns:
        The version of its record.

    Raises:
        Refused: name, vital, subject or limits make no sense.
    """
    checked_name(rule.rule, "a rule")
    rule = checked_rule(rule)
    with connection.transaction():
        if rule.subject is not None:
            subject_key(connection, rule.subject)
        connection.execute(
            "INSERT INTO rules (name, definition) VALUES (%s, %s)"
            " ON CONFLICT (name) DO UPDATE SET definition = excluded.definition, changed_at = now()",
            (rule.rule, Jsonb(outbox.content(rule))),
        )
        return outbox.append(connection, REGISTRY_RULES, rule.rule, rule)


def remove_rule(connection: Database, name: str) -> int:
    """Take a rule away.

    Returns:
        The version of the word that it is gone.

    Raises:
        Refused: there is no such rule.
    """
    with connection.transaction():
        if connection.execute("DELETE FROM rules WHERE name = %s", (name,)).rowcount == 0:
            raise Refused(f"There is no rule '{name[:80]}'.", "See: ./agora rule list.")
        return outbox.append(connection, REGISTRY_RULES, name, None)


def list_rules(connection: Database) -> list[RuleRecord]:
    """List all rules by name."""
    rows = connection.execute("SELECT definition FROM rules ORDER BY name")
    return [RuleRecord.model_validate(definition) for (definition,) in rows]
