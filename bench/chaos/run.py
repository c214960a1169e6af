"""Runs it: devices publish, faults happen, the flow drains, and everything is compared."""

from __future__ import annotations

import asyncio
import ssl
import time
from collections.abc import Callable, Mapping

import psycopg
from pydantic import SecretStr

from bench.chaos import cast, evidence, load, plants
from bench.chaos.consenting import Consenting
from bench.chaos.faults import Faults, Happened, undone
from bench.chaos.nurse import Nurse
from bench.chaos.options import Observed, Options
from bench.chaos.pace import Pace
from bench.chaos.plan import Fault, plan
from bench.chaos.plants import Plant
from bench.chaos.platform import Platform
from bench.chaos.times import CEILING_SECONDS, too_slow, undisturbed
from bench.chaos.verdict import Check, Facts, judge_all
from bench.chaos.watch import Question, Watch
from bench.chaos.withdrawals import met_by, withdrawals, without_fault
from cli import operator
from contracts.instants import SECOND
from contracts.topics import REGISTRY_APPS, REGISTRY_CONSENTS
from deploy.local.instance import Instance
from runtime import clock
from runtime.settings import DatabaseSettings, KafkaSettings
from sharing.gateway.settings import OperatorClientSettings
from sharing.kafka_users import KafkaUsers
from sharing.pseudonyms import AppPseudonyms, master_of
from simulators.connection import BrokerAddress
from simulators.fleet import Fleet

LOOK_SECONDS = 0.5
RECEIPT_SECONDS = 180.0
DRAIN_SECONDS = 180.0
PLANTED_CLOSE_SECONDS = 8.0
"""Where something is missing on purpose, the ledger would be waited for in vain."""
KNOWN_SECONDS = 30.0
ALONE_WAIT_SECONDS = CEILING_SECONDS + 5.0
"""So long a fault that is measured is left alone at most."""
START_SECONDS = 1.0
RESEND_SECONDS = 6.0
CALM = 4.0
"""How much slower devices publish once the load is over."""
LEGACY_EVERY = 5
"""Each fifth device speaks MQTT 3.1.1."""


class Run:
    """One run."""

    def __init__(self, instance: Instance, options: Options, look: Callable[[Run], None]) -> None:
        """Prepare it.

        Args:
            instance: of its own.
            options: what was asked for.
            look: called now and then, to show how far it is.

        Raises:
            Misconfigured: a part of ``only`` does not exist, or servers that exist already were named.
        """
        self.options = options
        self.plan: tuple[Fault, ...] = plan(options.seed, options.kills, options.seconds, options.only)
        self.withdrawals = withdrawals(options.seed, self.plan, options.seconds)
        self.observed = Observed()
        self.platform = Platform(instance, self._enter)
        self.written = load.Written()
        self.happened: list[Happened] = []
        self.fleet: Fleet | None = None
        self.versions: Mapping[str, str] = {}
        self._look = look

    def _enter(self, phase: str) -> None:
        self.observed.phase = phase

    async def run(self) -> list[Check]:
        """Run it to its end and stop the platform.

        Returns:
            The checks.
        """
        showing = asyncio.create_task(self._show())
        try:
            await self.platform.start(plants.settings_for(self.options.plants))
            return await self._with_platform()
        finally:
            self._enter("stopping the platform")
            await self.platform.stop()
            showing.cancel()
            await asyncio.gather(showing, return_exceptions=True)

    async def _show(self) -> None:
        while True:
            self._look(self)
            await asyncio.sleep(LOOK_SECONDS)

    async def _with_platform(self) -> list[Check]:
        stack = self.platform.stack
        values = stack.settings("operator")
        self.versions = stack.state().versions
        self.database = operator.settings(DatabaseSettings, values)
        self.kafka = operator.settings(KafkaSettings, values)
        self._enter("enrolling")
        self.cast = await asyncio.to_thread(self._enrol)
        master = master_of(values["AGORA_PSEUDONYM_MASTER"])
        self.pseudonyms = {app: AppPseudonyms(master, app) for app in self.cast.access}
        self.apps_kafka = {app: self._app_settings(app) for app in self.cast.access}
        await self._wait_known()
        fleet = self.fleet = self._make_fleet()
        self.consenting = Consenting(self.cast, self.database, self.happened, self.observed)
        self.watch = self._make_watch(values["AGORA_GATEWAY_PUBLIC_URL"])
        self.nurse = Nurse(operator.settings(OperatorClientSettings, values))
        beside = [asyncio.create_task(self.watch.run(self._question)), asyncio.create_task(self.nurse.run())]
        self.observed.begun = time.monotonic()
        self._enter("under load")
        try:
            await fleet.start()
            await self._disturb()
            await self._settle(fleet)
        finally:
            await fleet.stop(0.0)
            for task in beside:
                task.cancel()
            await asyncio.gather(*beside, return_exceptions=True)
        return await self._collect(fleet)

    def _enrol(self) -> cast.Cast:
        with psycopg.connect(self.database.conninfo(), autocommit=True) as connection:
            return cast.enrol(connection, KafkaUsers(self.kafka), load.people(self.options.people, len(self.withdrawals)))

    def _app_settings(self, app: str) -> KafkaSettings:
        access = self.cast.access[app]
        return KafkaSettings(
            bootstrap=f"localhost:{self.platform.instance.ports.kafka_apps}",
            username=access.kafka_user,
            password=SecretStr(access.kafka_password),
            security="SASL_SSL",
            ca_file=str(self.platform.instance.certificates / "ca.pem"),
        )

    async def _wait_known(self) -> None:
        """Wait until the routers know apps and consents: what is sent before would rightly be withheld."""
        with psycopg.connect(self.database.conninfo()) as connection:
            rows = connection.execute(
                "SELECT topic, max(version) FROM outbox WHERE topic = ANY(%s) GROUP BY topic",
                [[REGISTRY_APPS.name, REGISTRY_CONSENTS.name]],
            ).fetchall()

        def known(told: str | None) -> bool:
            found = dict(
                line.rsplit(" ", 1) for line in (told or "").splitlines() if line.startswith("agora_sharing_known_version")
            )
            return all(float(found.get(f'agora_sharing_known_version{{topic="{topic}"}}', 0)) >= wanted for topic, wanted in rows)

        async with asyncio.timeout(KNOWN_SECONDS):
            for name in ("router", "router-2"):
                while not known(await asyncio.to_thread(self.platform.metrics, name)):  # noqa: ASYNC110 - another process
                    await asyncio.sleep(0.2)

    def _make_fleet(self) -> Fleet:
        start = clock.now() + round(START_SECONDS * SECOND)
        interval = len(self.cast.devices) / self.options.rate
        self._pace = Pace(self.options.seed, start)
        sources = {
            one.key: self.written.through(
                one.key, load.messages(self.options.seed, one.key, one.model, start, interval, self._pace)
            )
            for one in self.cast.devices
        }
        mishaps = {
            one.key: (load.GARBAGE, load.REPEATS)[number % 2] for number, one in enumerate(self.cast.devices) if number % 4 < 2
        }
        legacy = {one.key for number, one in enumerate(self.cast.devices) if number % LEGACY_EVERY == LEGACY_EVERY - 1}
        broker = BrokerAddress("localhost", self.platform.wiring.devices_port, self.platform.instance.certificates / "ca.pem")
        # Not sparing: the more is sent again that was not lost, the more the platform has to tell from new messages.
        return Fleet(
            self.cast.devices,
            sources,
            broker,
            mishaps,
            legacy=legacy,
            outbox_capacity=2000,
            resend_seconds=RESEND_SECONDS,
            sparing=False,
        )

    def _make_watch(self, gateway: str) -> Watch:
        staying = {
            (app, self.pseudonyms[app].subject(person.subject)): person
            for person in self.cast.people
            for app in person.shares_with
            if app != person.withdraws_from
        }
        (app, patient), _ = next(iter(staying.items()))
        tls = ssl.create_default_context(cafile=str(self.platform.instance.certificates / "ca.pem"))
        self._question = Question(self.cast.access[app], patient, gateway, tls)
        return Watch(clock.now, self.database, self.apps_kafka, len(self.cast.devices), set(staying))

    async def _disturb(self) -> None:
        faults = Faults(self.platform, clock.now)
        late = 0.0
        async with asyncio.TaskGroup() as group:
            group.create_task(self.consenting.run(self.withdrawals))
            for fault in self.plan:
                await asyncio.sleep(max(0.0, fault.at + late - self.observed.elapsed))
                if fault.alone or (self.happened and self.happened[-1].fault.alone):
                    late += await self._wait_over(ALONE_WAIT_SECONDS)
                happened = Happened(fault, round(self.observed.elapsed, 1))
                self.observed.calm_until = min(self.observed.calm_until, clock.now())
                self.observed.tell(str(fault))
                self.happened.append(happened)
                self.watch.happened.append(happened)
                group.create_task(faults.do(happened))
            await asyncio.sleep(max(0.0, self.options.seconds + late - self.observed.elapsed))
        if Plant.SKIPPED_FRAME in self.options.plants:
            self.observed.planted.append(await plants.skip_frame(self.platform, self.kafka))
        await self._wait_recovered()

    async def _wait_over(self, seconds: float) -> float:
        """Wait until all goes on after all faults so far, so many seconds at most; gives the seconds that it took."""
        begun = time.monotonic()
        while time.monotonic() < begun + seconds and not all(one.recovered for one in self.happened):  # noqa: ASYNC110 - others note it
            await asyncio.sleep(LOOK_SECONDS)
        return time.monotonic() - begun

    async def _wait_recovered(self) -> None:
        """Go on publishing, a little, until the last fault is over: only what is published afterwards shows it."""
        self._pace.calm = CALM
        self._enter("waiting for the last faults to be over")
        await self._wait_over(DRAIN_SECONDS)

    async def _settle(self, fleet: Fleet) -> None:
        self._enter("devices stop; waiting for their receipts")
        self.observed.drained = await fleet.stop(RECEIPT_SECONDS)
        self._enter("waiting until everything is read and stored")
        close_seconds = PLANTED_CLOSE_SECONDS if self.options.plants else DRAIN_SECONDS
        self.closing, self.behind = await evidence.drain(self.database, self.kafka, DRAIN_SECONDS, close_seconds)

    async def _collect(self, fleet: Fleet) -> list[Check]:
        await self._plant()
        self._enter("reading the logs")
        logs = await evidence.read_logs(self.kafka)
        topics = {app: await evidence.read_app(settings, app) for app, settings in self.apps_kafka.items()}
        self._enter("comparing")
        made, calm_until = self.consenting.made, self.observed.calm_until
        self.facts = Facts(
            self.cast, self.written, fleet, self.pseudonyms, logs, topics, self.database, made, calm_until, self.nurse.taken
        )
        judged = await asyncio.to_thread(judge_all, self.facts)
        return [*self._own_checks(fleet), *judged, self._withdrawal_check()]

    def _withdrawal_check(self) -> Check:
        made = self.consenting.made
        met = sum(bool(met_by(one, self.happened)) for one in made)
        name = "consents were withdrawn while parts on their way were away"
        return Check(name, not without_fault(made, self.happened), f"{met} of {len(made)}")

    def _own_checks(self, fleet: Fleet) -> list[Check]:
        counts, closing = fleet.snapshot(), self.closing
        late = [f"{one.fault.number}: {one.fault}" for one in self.happened if not one.recovered]
        told = "not read"
        if closing is not None:
            told = f"difference {closing.difference}, {closing.in_flight} in flight, {sum(closing.lag.values())} records behind"
            told += f", {len(closing.holes)} holes"
        behind = ", ".join(f"{reader} {records} records behind" for reader, records in self.behind.items() if records)
        idle = undone(self.happened)
        alone = undisturbed(self.happened)
        slow = too_slow(alone)
        return [
            Check("every fault was done", not idle, "; ".join(idle[:5]) or f"{len(self.happened)} faults"),
            Check(
                "every message of every device got its receipt",
                self.observed.drained and counts.receipted > 0,
                f"{counts.receipted} receipted, {counts.outstanding} outstanding, {counts.resent} sent again",
            ),
            Check("everything went on after each fault", not late, "; ".join(late[:5]) or f"{len(self.happened)} faults"),
            Check(
                f"after a fault that came alone everything went on within {CEILING_SECONDS:.0f} s",
                not slow,
                "; ".join(slow[:5]) or f"{len(alone)} of {len(self.happened)} came alone",
            ),
            Check(
                "the ledger closes",
                closing is not None and closing.closed and not behind,
                told + (f"; {behind}" if behind else ""),
            ),
        ]

    async def _plant(self) -> None:
        owner = operator.settings(DatabaseSettings, self.platform.stack.settings("owner"))
        for plant, done in ((Plant.DOUBLED_ROW, plants.double_row), (Plant.QUARANTINED_MESSAGE, plants.quarantine_message)):
            if plant in self.options.plants:
                self.observed.planted.append(await asyncio.to_thread(done, owner))
        if Plant.UNCONSENTED_RECORD in self.options.plants:
            stranger = next(one for one in self.cast.devices if one.subject == load.STRANGER and one.model == "agora-thermometer")
            reading = self.written.observations(stranger.key, stranger.subject, 1, clock.now())[0]
            consent = next(one for (_, app), one in self.cast.consents.items() if "8310-5" in one.vitals)
            names = self.pseudonyms[consent.app]
            self.observed.planted.append(await plants.release_without_consent(self.kafka, consent, names, reading))
