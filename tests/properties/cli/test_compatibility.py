"""What the check lets pass keeps its word: whatever one side may write, the other takes."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from jsonschema_rs import validator_for

from cli.reference.compatibility import Direction, problems

NAMES = ("a", "b", "c")
scalars = st.one_of(
    st.fixed_dictionaries({"type": st.just("integer")}, optional={"minimum": st.integers(0, 2), "maximum": st.integers(2, 4)}),
    st.fixed_dictionaries({"type": st.just("number")}, optional={"exclusiveMaximum": st.integers(2, 4)}),
    st.fixed_dictionaries({"type": st.just("string")}, optional={"maxLength": st.integers(0, 2), "minLength": st.integers(0, 1)}),
    st.fixed_dictionaries({"enum": st.lists(st.sampled_from(["x", "yy", 1, None]), min_size=1, max_size=3, unique_by=str)}),
    st.fixed_dictionaries({"type": st.sampled_from([["string", "null"], ["integer", "null"], "boolean"])}),
)
inner = st.one_of(
    scalars,
    st.fixed_dictionaries({"type": st.just("array"), "items": scalars}, optional={"maxItems": st.integers(0, 2)}),
    scalars.map(lambda one: {"anyOf": [one, {"type": "null"}]}),
)


@st.composite
def objects(draw: st.DrawFn) -> dict[str, Any]:
    properties = draw(st.dictionaries(st.sampled_from(NAMES), inner))
    required = draw(st.lists(st.sampled_from(sorted(properties)), unique=True)) if properties else []
    made: dict[str, Any] = {"type": "object", "properties": properties, "required": required}
    if draw(st.booleans()):
        made["additionalProperties"] = False
    return made


@st.composite
def pairs(draw: st.DrawFn) -> tuple[dict[str, Any], dict[str, Any]]:
    """Two schemas that are often near each other, as an old and a new version are."""
    old = draw(objects())
    new = draw(objects()) if draw(st.integers(0, 3)) == 0 else {**old, "properties": dict(old["properties"])}
    if draw(st.booleans()):
        new["properties"][draw(st.sampled_from(NAMES))] = draw(inner)
    if draw(st.booleans()) and new["properties"]:
        new["required"] = draw(st.lists(st.sampled_from(sorted(new["properties"])), unique=True))
    return old, new


values = st.one_of(st.none(), st.booleans(), st.integers(-1, 5), st.sampled_from([0.5, 2.0, "", "x", "yy", "zzz"]))
instances = st.dictionaries(st.sampled_from(NAMES), st.one_of(values, st.lists(values, max_size=3)))


@given(pairs(), st.lists(instances, min_size=5, max_size=20))
def test_what_was_taken_is_taken_by_a_schema_that_may_replace_it(pair: Any, sent: list[dict[str, Any]]) -> None:
    old, new = pair
    if problems(old, new, Direction.TAKEN) == []:
        before, after = validator_for(old), validator_for(new)
        written = [one for one in sent if one.keys() <= old["properties"].keys() and before.is_valid(one)]
        assert all(after.is_valid(one) for one in written)


@given(pairs(), st.lists(instances, min_size=5, max_size=20))
def test_what_is_given_satisfies_readers_of_the_old_schema_who_leave_unknown_fields_aside(pair: Any, sent: Any) -> None:
    old, new = pair
    if problems(old, new, Direction.GIVEN) == []:
        before, after = validator_for(old), validator_for(new)
        for one in sent:
            known = {name: value for name, value in one.items() if name in old["properties"]}
            assert not after.is_valid(one) or before.is_valid(known)


@given(objects())
def test_every_schema_may_replace_itself(schema: dict[str, Any]) -> None:
    assert all(problems(schema, schema, direction) == [] for direction in Direction)


@given(pairs())
def test_between_our_own_processes_both_directions_must_hold(pair: Any) -> None:
    old, new = pair
    if problems(old, new, Direction.BETWEEN) == []:
        assert problems(old, new, Direction.TAKEN) == problems(old, new, Direction.GIVEN) == []
