"""The parameters of FHIR searches."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from contracts.instants import from_datetime
from sharing.fhir.codes import vitals_of
from sharing.fhir.cursor import CursorSeal, ObservationPlace, PatientPlace, search_of
from sharing.fhir.dates import EARLIEST, LATEST, Span, parse_date, parse_dates
from sharing.fhir.problem import SearchProblem
from sharing.fhir.search import MOST_COUNT, link, observation_search, patient_search

BASE = "https://agora.example/fhir"
PATIENT = ("patient", "0192f0aa-0000-8000-8000-000000000001")
BLOOD_PRESSURE = {"8480-6", "8462-4", "8478-0"}
SEAL = CursorSeal(b"k" * 32)
PLACE = ObservationPlace(1, 2, 3, 4, 5, -1)


def at(*parts: int) -> int:
    return from_datetime(datetime(*parts, tzinfo=UTC))  # type: ignore[arg-type, misc]


@pytest.mark.parametrize(
    ("text", "span"),
    [
        ("2026", Span(at(2026, 1, 1), at(2027, 1, 1))),
        ("2026-12", Span(at(2026, 12, 1), at(2027, 1, 1))),
        ("2026-11-22", Span(at(2026, 11, 22), at(2026, 11, 23))),
        ("eq2026-11-22", Span(at(2026, 11, 22), at(2026, 11, 23))),
        ("2026-11-22T10:00", Span(at(2026, 11, 22, 10), at(2026, 11, 22, 10, 1))),
        ("2026-11-22T10:00:05Z", Span(at(2026, 11, 22, 10, 0, 5), at(2026, 11, 22, 10, 0, 6))),
        ("2026-11-22T10:00:05.25Z", Span(at(2026, 11, 22, 10, 0, 5, 250000), at(2026, 11, 22, 10, 0, 5, 260000))),
        ("2026-11-22T10:00:00+02:00", Span(at(2026, 11, 22, 8), at(2026, 11, 22, 8, 0, 1))),
        ("2026-11-22T10:00:00 02:00", Span(at(2026, 11, 22, 8), at(2026, 11, 22, 8, 0, 1))),
        ("2026-11-22T10:00:00-05:30", Span(at(2026, 11, 22, 15, 30), at(2026, 11, 22, 15, 30, 1))),
        ("gt2026-11-22", Span(at(2026, 11, 23), LATEST)),
        ("sa2026-11-22", Span(at(2026, 11, 23), LATEST)),
        ("ge2026-11-22", Span(at(2026, 11, 22), LATEST)),
        ("lt2026-11-22", Span(EARLIEST, at(2026, 11, 22))),
        ("eb2026-11-22", Span(EARLIEST, at(2026, 11, 22))),
        ("le2026-11-22", Span(EARLIEST, at(2026, 11, 23))),
        ("9999", Span(at(9999, 1, 1), LATEST)),
    ],
)
def test_a_date_stands_for_the_whole_span_it_names(text: str, span: Span) -> None:
    assert parse_date(text) == span


NO_DATES = (
    "", "yesterday", "2026-13", "2026-02-30", "2026-11-22T25:00", "2026-11-22T10:00:00+20:00", "22.11.2026", "0000", "ne2026",
    "ap2026", "2026-11-22T10", "20261122", "2026-11-22T10:00:00Zjunk", "gege2026", "2026,2027", "２０２６",
)  # fmt: skip


@pytest.mark.parametrize("text", NO_DATES)
def test_what_is_no_date_is_refused_without_being_repeated(text: str) -> None:
    with pytest.raises(SearchProblem) as caught:
        parse_date(text)

    assert not text or text not in caught.value.words


def test_repeated_dates_must_all_hold() -> None:
    assert parse_dates(["ge2026-11-01", "lt2026-12"]) == Span(at(2026, 11, 1), at(2026, 12, 1))


@pytest.mark.parametrize(
    ("tokens", "vitals"),
    [
        ("8867-4", {"8867-4"}),
        ("http://loinc.org|8867-4", {"8867-4"}),
        ("8867-4,59408-5", {"8867-4", "59408-5"}),
        ("2708-6", {"59408-5"}),
        ("85354-9", BLOOD_PRESSURE),
        ("8480-6", BLOOD_PRESSURE),
        ("urn:iso:std:iso:11073:10101|147842", {"8867-4"}),
        ("147842", {"8867-4"}),
        ("urn:iso:std:iso:11073:10101|150020", BLOOD_PRESSURE),
        ("http://loinc.org|147842", set()),
        ("http://snomed.info/sct|8867-4", set()),
        ("|8867-4", set()),
        ("no-such-code", set()),
    ],
)
def test_codes_aliases_panels_and_systems_find_their_vitals(tokens: str, vitals: set[str]) -> None:
    assert vitals_of(tokens) == vitals


def test_a_system_alone_finds_all_its_vitals() -> None:
    assert len(vitals_of("http://loinc.org|")) > 30
    assert vitals_of("urn:iso:std:iso:11073:10101|") < vitals_of("http://loinc.org|")


@pytest.mark.parametrize("tokens", ["", ",", "8867-4,", "|"])
def test_an_empty_code_is_refused(tokens: str) -> None:
    with pytest.raises(SearchProblem):
        vitals_of(tokens)


def test_a_whole_search_is_read() -> None:
    given = [PATIENT, ("code", "8867-4,59408-5"), ("code", "59408-5"), ("date", "ge2026"), ("_count", "7"), ("_sort", "date")]

    search = observation_search([*given, ("_cursor", "abc")], BASE)

    assert (search.patient, search.vitals, search.count) == (PATIENT[1], frozenset({"59408-5"}), 7)
    assert (search.newest_first, search.cursor, search.parameters) == (False, "abc", tuple(given))


def test_without_wishes_the_newest_of_everything_come_first() -> None:
    search = observation_search([PATIENT], BASE)

    assert (search.vitals, search.span, search.newest_first, search.count) == (None, Span(), True, 100)


@pytest.mark.parametrize("reference", [PATIENT[1], f"Patient/{PATIENT[1]}", f"{BASE}/Patient/{PATIENT[1]}"])
def test_a_patient_is_named_by_id_or_reference(reference: str) -> None:
    assert observation_search([("patient", reference)], BASE).patient == PATIENT[1]


def test_a_subject_is_a_reference() -> None:
    assert observation_search([("subject", f"Patient/{PATIENT[1]}")], BASE).patient == PATIENT[1]


@pytest.mark.parametrize(
    "given",
    [
        [],
        [PATIENT, PATIENT],
        [PATIENT, ("subject", f"Patient/{PATIENT[1]}")],
        [("subject", PATIENT[1])],
        [("patient", "Device/x")],
        [("patient", "")],
        [("patient", "a,b")],
        [("patient", "https://elsewhere.example/fhir/Patient/x")],
        [PATIENT, ("_count", "0")],
        [PATIENT, ("_count", "-1")],
        [PATIENT, ("_count", "many")],
        [PATIENT, ("_count", "١")],
        [PATIENT, ("_sort", "code")],
        [PATIENT, ("_format", "xml")],
        [PATIENT, ("date", "soon")],
        [PATIENT, ("code", "88\x0067")],
        [PATIENT, ("code:text", "heart")],
        [PATIENT, ("_include", "*")],
    ],
)
def test_what_cannot_be_answered_exactly_is_refused(given: list[tuple[str, str]]) -> None:
    with pytest.raises(SearchProblem):
        observation_search(given, BASE)


def test_an_unknown_parameter_is_named_and_the_known_ones_are_told() -> None:
    with pytest.raises(SearchProblem, match=r"no parameter _lastUpdated here; there are patient, .*date"):
        observation_search([PATIENT, ("_lastUpdated", "2026")], BASE)


def test_the_name_of_an_unknown_parameter_is_repeated_only_when_it_is_one() -> None:
    with pytest.raises(SearchProblem) as caught:
        observation_search([PATIENT, ("<script>", "1")], BASE)

    assert "script" not in caught.value.words


def test_a_large_count_is_cut() -> None:
    assert observation_search([PATIENT, ("_count", "999999999")], BASE).count == MOST_COUNT


def test_a_category_we_have_none_of_finds_nothing() -> None:
    assert observation_search([PATIENT, ("category", "laboratory")], BASE).vitals == frozenset()
    assert observation_search([PATIENT, ("category", "vital-signs")], BASE).vitals is None


def test_patients_are_searched_by_id() -> None:
    assert patient_search([("_id", "a,b"), ("_count", "5")]).identifiers == frozenset({"a", "b"})
    with pytest.raises(SearchProblem):
        patient_search([("name", "Smith")])


def test_links_carry_what_was_asked() -> None:
    assert link("https://a/fhir/Patient", (("_count", "5"),), "x") == "https://a/fhir/Patient?_count=5&_cursor=x"
    assert link("https://a/fhir/Patient", ()) == "https://a/fhir/Patient"


def test_a_cursor_opens_for_the_search_it_was_made_for() -> None:
    search = search_of("app", "Observation", (PATIENT,))

    assert SEAL.open(SEAL.seal(PLACE, search), ObservationPlace, search) == PLACE


@pytest.mark.parametrize(
    "other",
    [
        search_of("other-app", "Observation", (PATIENT,)),
        search_of("app", "Patient", (PATIENT,)),
        search_of("app", "Observation", (PATIENT, ("code", "8867-4"))),
    ],
)
def test_a_cursor_is_refused_by_another_app_and_another_search(other: bytes) -> None:
    cursor = SEAL.seal(PLACE, search_of("app", "Observation", (PATIENT,)))

    with pytest.raises(SearchProblem):
        SEAL.open(cursor, ObservationPlace, other)


@pytest.mark.parametrize("cursor", ["", "x", "ü", "AAAA", "A" * 80, "!" * 60])
def test_what_we_did_not_seal_is_refused(cursor: str) -> None:
    with pytest.raises(SearchProblem):
        SEAL.open(cursor, ObservationPlace, b"")


def test_a_cursor_of_another_kind_is_refused() -> None:
    with pytest.raises(SearchProblem):
        SEAL.open(SEAL.seal(PatientPlace("p"), b""), ObservationPlace, b"")


def test_a_cursor_shows_nothing_of_what_it_holds() -> None:
    first, second = (SEAL.seal(PatientPlace("somebody"), b"") for _ in range(2))

    assert first != second
    assert "somebody" not in first
