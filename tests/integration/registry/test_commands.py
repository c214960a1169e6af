"""The registry by command, as an operator types it."""

import json
import subprocess
import sys

import pytest

from deploy.local.stack import Stack
from registry.outbox import Database
from tests.support.keeping import Keeper, database


def agora(stack: Stack, *words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "cli", *words]
    return subprocess.run(command, env=stack.env("operator"), capture_output=True, text=True, timeout=60, check=False)


@pytest.mark.timeout(300)
def test_a_device_goes_from_nothing_to_publishing_by_what_the_commands_print(
    stack: Stack, operator: Database, keeper: Keeper
) -> None:
    assert agora(stack, "org", "add", "typed", "--display", "Typed [red]in[/] a shell").returncode == 0
    assert "[red]in[/]" in agora(stack, "org", "list").stdout
    added = agora(stack, "subject", "add", "typed", "typed-1", "--system", "urn:mrn", "--value", "1")
    assert added.returncode == 0, added.stderr
    enrolled = agora(stack, "device", "add", "typed/ox-1", "--model", "agora-oximeter", "--subject", "typed-1", "--json")
    assert enrolled.returncode == 0, enrolled.stderr
    told = json.loads(enrolled.stdout)
    whole = "SELECT starts_at = date_trunc('second', starts_at) FROM loans JOIN devices USING (device_key) WHERE org = 'typed'"
    assert operator.execute(whole).fetchall() == [(True,)], "the line to paste dates to whole seconds"
    published = subprocess.run(["bash", "-c", told["publish"]], capture_output=True, text=True, timeout=30, check=False)
    assert published.returncode == 0, published.stderr
    rotated = json.loads(agora(stack, "device", "rotate", "typed/ox-1", "--json").stdout)
    assert rotated["password"] != told["password"]
    refused = subprocess.run(["bash", "-c", told["publish"]], capture_output=True, text=True, timeout=30, check=False)
    assert refused.returncode != 0
    [device] = json.loads(agora(stack, "device", "list", "--org", "typed", "--json").stdout)
    assert device["subject"] == "typed-1"
    assert device["settled"]
    assert agora(stack, "device", "retire", "typed/ox-1").returncode == 0


@pytest.mark.timeout(300)
def test_a_mistake_is_answered_in_words_without_a_stack_trace(stack: Stack, operator: Database) -> None:
    for words in (
        ("device", "add", "nowhere/x", "--wait", "1"),
        ("device", "add", "x"),
        ("device", "loan", "keeping/none", "anna"),
        ("device", "correct-clock", "keeping/none", "--by", "1h", "--from", "now"),
        ("device", "correct-loan", "999999", "--remove"),
        ("rule", "set", "r", "--vital", "0-0", "--low", "1"),
    ):
        answer = agora(stack, *words)
        assert answer.returncode == 1, words
        assert answer.stderr.startswith("agora: "), answer.stderr
        assert "Traceback" not in answer.stderr


def test_an_empty_list_says_what_to_do(stack: Stack, operator: Database) -> None:
    assert "No rule of your own" in agora(stack, "rule", "list").stderr


def test_without_a_keeper_the_password_is_shown_and_the_wait_ends_in_words(stack: Stack, operator: Database) -> None:
    answer = agora(stack, "device", "add", "keeping/alone-1", "--wait", "1", "--json")
    assert answer.returncode == 1
    assert json.loads(answer.stdout)["password"]
    assert "the keeper has not confirmed" in answer.stderr
    with database(stack) as connection:
        assert connection.execute("SELECT 1 FROM devices WHERE name = 'alone-1'").fetchone() == (1,)
