"""What is read is handed to the rules whole: a device is not passed over because nothing came of it."""

from __future__ import annotations

from typing import Any

from bench.chaos.alerts import Arrival
from bench.chaos.cast import Cast
from bench.chaos.evidence import AppTopic, Logs
from bench.chaos.judge_apps import Notice, Release
from bench.chaos.load import Person, Written
from bench.chaos.verdict import Facts, judge_topic, promises
from bench.chaos.withdrawals import Withdrawal, Withdrawn
from contracts.instants import SECOND
from contracts.registry import ConsentRecord
from runtime.settings import DatabaseSettings
from sharing.pseudonyms import AppPseudonyms
from simulators.counts import Sent
from simulators.messages import DueMessage, reading
from simulators.patients import DeviceCredential

START = 1_795_348_800 * SECOND
APP, SUBJECT, HEART, BREATH = "chaos-heart", "chaos-0", "8867-4", "59408-5"
SHARED, OTHER = (
    DeviceCredential(org="clinic", device=name, model="agora-oximeter", password="", subject=SUBJECT)
    for name in ("shared", "other")
)


class Fleet:
    """Each device sent two messages and got its receipts."""

    def sent(self) -> dict[str, dict[str, Sent]]:
        return {one.key: {"a": Sent(1, 1, False), "b": Sent(2, 1, False)} for one in (SHARED, OTHER)}

    def receipted(self) -> dict[str, frozenset[str]]:
        return {key: frozenset(letters) for key, letters in self.sent().items()}


def facts(withdrawn: int, calm_until: int) -> Facts:
    written = Written()
    for device, vital in ((SHARED, HEART), (OTHER, BREATH)):
        due = (DueMessage(START + number * SECOND, (reading(vital, 90.0),)) for number in range(2))
        list(written.through(device.key, due))
    logs = Logs(
        arrivals={one.key: [Arrival(1, START), Arrival(2, START + SECOND)] for one in (SHARED, OTHER)},
        vitals={one.key: [1, 2] for one in (SHARED, OTHER)},
    )
    consent = ConsentRecord(consent="c", subject=SUBJECT, app=APP, vitals=frozenset({HEART}), granted_at=0)
    cast = Cast((Person(SUBJECT, (APP,), APP),), (SHARED, OTHER), {}, {(SUBJECT, APP): consent})
    fleet: Any = Fleet()
    database: Any = DatabaseSettings.model_construct()
    names = {APP: AppPseudonyms(b"0" * 32, APP)}
    topics = {APP: AppTopic([], [Notice("c", withdrawn + SECOND, 9)])}
    made = [Withdrawn(Withdrawal(1, 1, 0.5), SUBJECT, APP, "c", withdrawn - SECOND, withdrawn)]
    return Facts(cast, written, fleet, names, logs, topics, database, made, calm_until)


def test_a_withdrawn_patients_device_of_which_the_app_got_nothing_is_examined_and_one_it_never_shared_is_not() -> None:
    found = facts(withdrawn=START + 10 * SECOND, calm_until=START + 5 * SECOND)
    judge_topic(found, APP)
    assert found.findings.examples == {"withheld": [f"{APP}: {SHARED.key} all that came before the withdrawal"]}
    assert found.counts[f"devices of which {APP} rightly got nothing"] == 0


def test_where_a_fault_or_the_withdrawal_came_too_soon_it_is_counted() -> None:
    for withdrawn, calm_until in ((START + 10 * SECOND, START + SECOND), (START + SECOND, START + 5 * SECOND)):
        found = facts(withdrawn, calm_until)
        judge_topic(found, APP)
        assert not found.findings.counts
        assert found.counts[f"devices of which {APP} rightly got nothing"] == 1


def test_one_release_before_the_withdrawal_is_enough() -> None:
    found = facts(withdrawn=START + 10 * SECOND, calm_until=START + 5 * SECOND)
    identifier, promise = next((one, made) for one, made in promises(found, APP).items() if made.sequence == 1)
    found.topics[APP].released.append(Release(identifier, promise.shown, START + SECOND, "c"))
    judge_topic(found, APP)
    assert not found.findings.counts
    assert (found.withdrawn[0].last, found.withdrawn[0].told) == (-9.0, 1.0)


def test_what_came_before_a_new_consent_may_be_missing_and_what_came_after_must_not() -> None:
    found = facts(withdrawn=START - 10 * SECOND, calm_until=START)
    found.withdrawn[0].again = found.cast.consents[SUBJECT, APP].model_copy(update={"consent": "n", "granted_at": START})
    judge_topic(found, APP)
    assert found.findings.examples == {"withheld": [f"{APP}: {SHARED.key} message 2"]}
