"""The short way of ``Subject`` against the rules themselves, over histories that have everything in them."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from random import Random

from hypothesis import given
from hypothesis import strategies as st

from contracts.alerts import AlertCommand, Transition
from contracts.frames import encode
from contracts.ids import observation_id
from contracts.instants import SECOND
from contracts.observation import Observation, Quality, VitalsFrame
from contracts.registry import RuleRecord
from contracts.topics import ALERT_COMMANDS, VITALS
from streams.flag_states import Newest, find_newest
from streams.rules.limits import RuleBook
from streams.rules.state import FlagState, decode_state, encode_state
from streams.rules.subject import Subject
from streams.rules.thresholds import Judged, judge, moment_of, obey, remind

START = 1_700_000_000 * SECOND
IN_FLIGHT = 3
PULSE, OXYGEN, WEIGHT = "8867-4", "59408-5", "29463-7"
LIMITS = RuleRecord(
    rule="r", version=2, vital=PULSE, low=50, high=110, critical_low=40, critical_high=130, hysteresis=3, persistence_seconds=2
)
UPPER = RuleRecord(rule="upper", version=1, vital=PULSE, high=100)
BOOKS = [
    RuleBook(),
    RuleBook([LIMITS]),
    RuleBook([UPPER]),
    RuleBook([LIMITS, UPPER]),
    RuleBook([LIMITS, RuleRecord(rule="own", version=3, vital=PULSE, subject="s", low=45, critical_low=42)]),
    RuleBook([RuleRecord(rule="off", version=4, vital=PULSE, subject="s", low=45, enabled=False)]),
    # The wrong way round, and taken as it is.
    RuleBook([RuleRecord(rule="odd", version=6, vital=PULSE, high=110, critical_high=99, critical_low=60, low=50)]),
    # Named like the default of another vital, with which it then shares its state.
    RuleBook([RuleRecord(rule=f"limits-{PULSE}", version=5, vital=OXYGEN, low=90, critical_low=88)]),
]


@dataclass
class Twins:
    """One subject twice: judged plainly, and with the short way."""

    plain: FlagState = field(default_factory=FlagState)
    quick: Subject = field(default_factory=lambda: Subject(FlagState()))
    book: RuleBook = BOOKS[1]
    now: int = START
    offset: int = -1
    last: list[Observation] = field(default_factory=list)

    def agree(self, plain: Judged, quick: Judged) -> None:
        assert quick.transitions == plain.transitions
        assert quick.keep == plain.keep
        if quick.keep:  # else it is not looked at, so that the short way goes on over several records
            self.agree_on_the_state()

    def agree_on_the_state(self) -> None:
        assert encode_state(self.quick.settled()) == encode_state(self.plain)

    def record(self, observations: list[Observation], offset: int) -> None:
        floor = offset - IN_FLIGHT
        plain = judge(self.plain, self.book, observations, VITALS.name, offset, floor)
        self.agree(plain, self.quick.judge(self.book, observations, offset, floor))

    def word(self, command: AlertCommand, offset: int) -> None:
        floor = offset - IN_FLIGHT
        plain = obey(self.plain, command, ALERT_COMMANDS.name, offset, floor)
        self.agree(plain, self.quick.obey(command, offset, floor))


@dataclass
class History:
    """Draws what happens. Each history has its own rates: where nearly all is ordinary, the short way goes on for long."""

    random: Random

    def __post_init__(self) -> None:
        self._rare = self.random.choice([0.01, 0.03, 0.1, 0.3])
        self._devices = self.random.choice(["a", "ab", "abcdefghijk"])
        self._vitals = self.random.choice([[PULSE], [PULSE, OXYGEN], [PULSE, OXYGEN, WEIGHT]])
        self._sites = self.random.choice([[""], ["", "arm"]])

    def step(self, twins: Twins) -> None:
        if self.random.random() > self._rare:
            self._record(twins)
        else:
            self.random.choice([self._repeat, self._restart, self._change_rules, self._word])(twins)

    def _either(self, usual: Sequence[int], seldom: Sequence[int]) -> int:
        return self.random.choice(usual if self.random.random() > self._rare else seldom)

    def _record(self, twins: Twins) -> None:
        twins.last = [self._reading(twins) for _ in range(self.random.randint(1, 4))]
        twins.offset += 1
        twins.record(twins.last, twins.offset)

    def _reading(self, twins: Twins) -> Observation:
        stride = self._either([0, 1, 1, 2], [-30, -2, -1, 20, 56, 58, 60, 700, 90_000])
        at = twins.now + stride * SECOND
        twins.now = max(at, twins.now)
        arrival = at + self._either([0, 0, 1], [-5, -1, 100]) * SECOND
        late = Quality.LATE if stride < 0 or arrival - at > 50 * SECOND else Quality.NONE
        quality = self._either([0], [Quality.TEST_DATA, Quality.IMPLAUSIBLE, Quality.CLOCK_SUSPECT]) | late
        device, site, vital = (self.random.choice(some) for some in (self._devices, self._sites, self._vitals))
        value = self._either([95, 97, 98], [30, 41, 44, 49, 50, 90, 100, 101, 112, 140])
        name = observation_id("o", device, vital, site, at, 0)
        return Observation(name, "o", device, "s", vital, site, value, "u", at, at, arrival, 0, int(quality))

    def _repeat(self, twins: Twins) -> None:
        if twins.last:
            twins.record(twins.last, twins.offset)

    def _restart(self, twins: Twins) -> None:
        twins.agree_on_the_state()
        twins.quick = Subject(decode_state(encode_state(twins.plain)))
        twins.plain = decode_state(encode_state(twins.plain))

    def _change_rules(self, twins: Twins) -> None:
        twins.book = self.random.choice(BOOKS)

    def _word(self, twins: Twins) -> None:
        twins.offset += 1
        alert = next(iter(twins.plain.alerts), "unknown")
        action = self.random.choice([Transition.ACKNOWLEDGED, Transition.RESOLVED])
        twins.word(AlertCommand(alert, "s", action, "nurse", twins.now), twins.offset)


@given(st.integers(0, 2**32))
def test_the_short_way_gives_what_judging_every_reading_at_length_gives(seed: int) -> None:
    random = Random(seed)
    history, twins = History(random), Twins(book=random.choice(BOOKS))
    for _ in range(random.randint(1, 500)):
        history.step(twins)
    twins.agree_on_the_state()


def test_what_an_ordinary_reading_moves_is_entered_in_the_state_when_it_is_asked_for() -> None:
    state = FlagState()
    subject = Subject(state)
    made = [
        Observation(bytes([second]), "o", "a", "s", PULSE, "", 70.0, "/min", at, at, at, 0)
        for second, at in enumerate(range(START, START + 3 * SECOND, SECOND))
    ]
    kept = [subject.judge(BOOKS[1], [one], offset).keep for offset, one in enumerate(made)]
    assert kept == [True, False, False]
    first = [held.last_at for held in state.series["o/a/"].values()]
    then = [held.last_at for held in subject.settled().series["o/a/"].values()]
    assert (first, then) == ([START, START], [START + 2 * SECOND, START + 2 * SECOND])
    assert state.watermarks[VITALS.name].offset == 2


@given(st.integers(0, 2**32))
def test_reminding_of_the_newest_readings_gives_what_reminding_of_all_gives(seed: int) -> None:
    random = Random(seed)
    history, twins = History(random), Twins(book=random.choice(BOOKS))
    history._devices = "ab"  # of more series than are kept, which one goes depends on all that came in between
    for _ in range(random.randint(1, 60)):
        history.step(twins)
    kept = encode_state(twins.plain)
    records = [[history._reading(twins) for _ in range(random.randint(1, 4))] for _ in range(random.randint(1, 20))]
    at_length, quick = decode_state(kept), decode_state(kept)
    newest: Newest = {}
    for observations in records:
        remind(at_length, twins.book, observations)
        find_newest(newest, encode(VitalsFrame(observations)))
    for one in sorted(newest.values(), key=moment_of):
        remind(quick, twins.book, (one,))
    assert times(quick) == times(at_length)


def times(state: FlagState) -> dict[tuple[str, str], int]:
    return {(series, side): held.last_at for series, sides in state.series.items() for side, held in sides.items()}
