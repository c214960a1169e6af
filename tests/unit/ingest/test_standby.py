import pytest
from pydantic import ValidationError

from ingest.packets import beat_packet, split
from ingest.settings import IngestSettings
from ingest.standby import Silence


def test_silence_counts_from_the_moment_we_could_have_heard_something() -> None:
    silence = Silence()
    assert not silence.lasts(5, 1000)
    silence.listening(1000)
    assert not silence.lasts(5, 1005)
    assert silence.lasts(5, 1005.1)


def test_a_beat_begins_the_count_anew() -> None:
    silence = Silence()
    silence.listening(0)
    silence.beat(4)
    assert not silence.lasts(5, 8)
    assert silence.beats == 1


def test_a_broker_that_is_away_says_nothing_about_the_other_bridge() -> None:
    silence = Silence()
    silence.listening(0)
    silence.deaf()
    assert not silence.lasts(5, 100)


def test_a_beat_is_an_empty_publish_that_needs_no_acknowledgement() -> None:
    [publish] = split(beat_packet(b"agora/v1/bridge/presence")).publishes
    assert publish.topic == b"agora/v1/bridge/presence"
    assert publish.payload == b""
    assert publish.packet_id == b""


def test_nobody_stands_by_without_an_account_to_listen_with() -> None:
    with pytest.raises(ValidationError, match="AGORA_INGEST_STANDBY_USERNAME"):
        IngestSettings(standby=True)
