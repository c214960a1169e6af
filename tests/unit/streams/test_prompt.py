from pathlib import Path

from pydantic import SecretStr

from runtime.kafka import METADATA_MILLISECONDS, PROMPT_MILLISECONDS
from runtime.settings import KafkaSettings
from streams.app import build
from streams.settings import StreamsSettings


async def test_the_workers_client_waits_for_records_and_for_topics_no_longer_than_ours_do(tmp_path: Path) -> None:
    kafka = KafkaSettings(bootstrap="nowhere:1", username="streams", password=SecretStr("x"))
    streams = build(kafka, StreamsSettings(data_folder=tmp_path), lambda error: None)
    client = streams.app.consumer._thread._create_worker_consumer(streams.app.transport)
    client._closed = True  # it was never started, so there is nothing to close
    assert client._fetch_max_wait_ms == PROMPT_MILLISECONDS
    assert client._client._metadata_max_age_ms == METADATA_MILLISECONDS
