"""The release decision against a reference as naive as the sentence in the design: active now, covered, within the period."""

from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from contracts.observation import Observation
from contracts.registry import ConsentRecord, Detail
from sharing.fhir.observation import group, identity
from sharing.release import ConsentIndex, Refusal, decide, refusal_of
from tests.sharing_readings import reading

CODES = ("8867-4", "8480-6", "8462-4", "8478-0")
INSTANTS = st.integers(min_value=0, max_value=12)
MAYBE = st.none() | INSTANTS


@st.composite
def consents(draw: st.DrawFn, subject: str = "p", app: str = "a") -> ConsentRecord:
    return ConsentRecord(
        consent=draw(st.uuids()).hex,
        subject=subject,
        app=app,
        vitals=draw(st.frozensets(st.sampled_from(CODES), min_size=1)),
        detail=draw(st.sampled_from([Detail.RAW, Detail.RAW, Detail.RAW, Detail.AGGREGATED])),
        granted_at=draw(INSTANTS),
        history_from=draw(MAYBE),
        ends_at=draw(MAYBE),
        withdrawn_at=draw(st.none() | st.none() | INSTANTS),
    )


@st.composite
def readings(draw: st.DrawFn) -> Observation:
    return reading(draw(st.sampled_from(CODES)), 1.0, at=draw(INSTANTS), sequence=draw(st.integers(0, 1)), subject="p")


def naive(consent: ConsentRecord, measured: Observation, now: int) -> bool:
    begins = consent.granted_at if consent.history_from is None else consent.history_from
    ends = 10**18 if consent.ends_at is None else consent.ends_at
    return (
        consent.withdrawn_at is None
        and consent.granted_at <= now < ends
        and begins <= measured.effective_at < ends
        and measured.vital in consent.vitals
        and consent.detail == "raw"
    )


@given(consents(), readings(), INSTANTS)
def test_a_reason_is_given_exactly_where_the_consent_says_no(consent: ConsentRecord, measured: Observation, now: int) -> None:
    reason = refusal_of(consent, measured.vital, measured.effective_at, now)
    assert (reason is None) == consent.allows(measured.vital, measured.effective_at, now) == naive(consent, measured, now)


@given(consents(), readings(), INSTANTS)
def test_withdrawn_is_the_reason_only_where_nothing_else_is(consent: ConsentRecord, measured: Observation, now: int) -> None:
    reason = refusal_of(consent, measured.vital, measured.effective_at, now)
    before = consent.model_copy(update={"withdrawn_at": None})
    assert (reason is Refusal.WITHDRAWN) == (consent.withdrawn_at is not None and naive(before, measured, now))


@given(st.lists(consents(), min_size=1, max_size=4), st.lists(readings(), max_size=12), INSTANTS)
def test_exactly_the_allowed_readings_are_released_each_once_and_under_a_consent_that_allows_it(
    held: list[ConsentRecord], measured: list[Observation], now: int
) -> None:
    released: Counter[bytes] = Counter()
    refused: Counter[bytes] = Counter()
    for together in group(measured):
        decision = decide(together, held, now)
        for consent, shown in decision.released:
            assert all(naive(consent, entry, now) for entry in shown)
            released.update(entry.id for entry in shown)
        refused.update(entry.id for entry, _, _ in decision.refused)
    allowed = {entry.id for entry in measured if any(naive(consent, entry, now) for consent in held)}
    assert released == Counter(allowed)
    assert refused == Counter({entry.id for entry in measured} - allowed)


@given(st.lists(consents(), min_size=1, max_size=4), INSTANTS)
def test_components_that_one_consent_allows_together_are_one_observation(held: list[ConsentRecord], now: int) -> None:
    measured = [reading(code, 1.0, at=5, subject="p") for code in CODES[1:]]
    (together,) = group(measured)
    decision = decide(together, held, now)
    for consent in held:
        allowed = [entry for entry in together if naive(consent, entry, now)]
        assert not allowed or len(decision.released[0][1]) >= len(allowed)


@given(st.lists(consents(), min_size=1, max_size=4), INSTANTS)
def test_observations_of_one_panel_never_share_an_id(held: list[ConsentRecord], now: int) -> None:
    (together,) = group([reading(code, 1.0, at=5, subject="p") for code in CODES[1:]])
    identities = [identity(shown) for _, shown in decide(together, held, now).released]
    assert len(identities) == len(set(identities))


@given(
    st.lists(
        st.tuples(st.sampled_from("abc"), st.none() | st.tuples(st.sampled_from("pq"), st.sampled_from("xy"), INSTANTS)),
        max_size=20,
    )
)
def test_the_index_holds_the_newest_revision_of_each_consent_and_forgets_what_is_gone(
    changes: list[tuple[str, tuple[str, str, int] | None]],
) -> None:
    index, reference = ConsentIndex(), dict[str, ConsentRecord]()
    for name, change in changes:
        before = dict(reference), {app: index.generation(app) for app in "xy"}
        if change is None:
            index.put(name, None)
            reference.pop(name, None)
        else:
            subject, app, granted_at = change
            reference[name] = ConsentRecord(
                consent=name, subject=subject, app=app, vitals=frozenset({"8867-4"}), granted_at=granted_at
            )
            index.put(name, reference[name])
        for app in "xy":
            held = {key: entry for key, entry in reference.items() if entry.app == app}
            if held != {key: entry for key, entry in before[0].items() if entry.app == app}:
                assert index.generation(app) > before[1][app]
    for subject in "pq":
        for app in "xy":
            expected = sorted(name for name, entry in reference.items() if (entry.subject, entry.app) == (subject, app))
            assert [entry.consent for entry in index.between(subject, app)] == expected
        assert set(index.of_subject(subject)) == {entry.app for entry in reference.values() if entry.subject == subject}
