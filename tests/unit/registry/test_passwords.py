import re
import shutil
import subprocess
from pathlib import Path

import pytest

from registry.passwords import generate, hash_for_broker, matches


def test_a_hash_has_the_form_that_mosquitto_reads() -> None:
    assert re.fullmatch(r"\$7\$101\$[A-Za-z0-9+/]{16}\$[A-Za-z0-9+/]{86}==", hash_for_broker("secret"))


def test_a_password_matches_its_own_hash_only() -> None:
    stored = hash_for_broker("right")
    assert matches("right", stored)
    assert not matches("wrong", stored)


def test_the_hash_is_the_one_that_mosquitto_passwd_makes(tmp_path: Path) -> None:
    program = shutil.which("mosquitto_passwd")
    assert program, "mosquitto_passwd belongs to the broker's package"
    path = tmp_path / "passwords"
    path.touch(0o600)
    subprocess.run([program, "-b", str(path), "clinic/ox-1", "a password"], check=True, capture_output=True)
    user, _, stored = path.read_text().strip().partition(":")
    assert user == "clinic/ox-1"
    assert matches("a password", stored)


def test_passwords_differ_and_never_look_like_an_option() -> None:
    made = {generate() for _ in range(2000)}
    assert len(made) == 2000
    assert not any(password.startswith("-") for password in made)
    assert min(map(len, made)) >= 32


@pytest.mark.parametrize("salt", [b"\0" * 12, b"\xff" * 12])
def test_the_salt_decides_the_hash(salt: bytes) -> None:
    assert hash_for_broker("p", salt) == hash_for_broker("p", salt)
    assert hash_for_broker("p", salt) != hash_for_broker("p")
