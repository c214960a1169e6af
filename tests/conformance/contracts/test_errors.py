from __future__ import annotations

import re

import pytest

from contracts.errors import EXPLANATIONS, Code, Rejected, Stage

BY_CODE = pytest.mark.parametrize("code", Code, ids=str)


@BY_CODE
def test_every_code_is_in_kebab_case(code: Code) -> None:
    assert re.fullmatch(r"[a-z]+(-[a-z]+)*", code.value)
    assert code.name == code.value.upper().replace("-", "_")


@BY_CODE
def test_every_code_says_what_is_wrong_and_what_to_do_in_whole_sentences(code: Code) -> None:
    for words in EXPLANATIONS[code]:
        assert words[0].isupper()
        assert words.endswith(".")
        assert len(words) > 10


@BY_CODE
def test_a_refusal_with_any_code_has_words(code: Code) -> None:
    assert Rejected(code).words == EXPLANATIONS[code][0]


def test_nothing_is_explained_that_is_no_code() -> None:
    assert EXPLANATIONS.keys() == set(Code)


@pytest.mark.parametrize("stage", Stage, ids=str)
def test_every_stage_is_one_word(stage: Stage) -> None:
    assert stage.value.isalpha()
    assert stage.value.islower()
