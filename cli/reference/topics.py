"""``topics.md``: every Kafka topic."""

from __future__ import annotations

from cli.reference.markdown import code, page, table
from contracts.topics import DAY_MS, TOPICS, Topic, app_topic

ABOUT = """
Topics and rights are made from this list before anything starts; the broker makes none by itself. A frame is a record
that holds many messages for one partition (`contracts/frames.py`). Partitions are counted by murmur2 over the UTF-8
key, as Kafka's Java client does, and their number never changes. Every process has its own Kafka user, which may do
what stands here and nothing else; `operator` may do everything.
"""
NOTES = """
A record of an app's topic is written by the router alone and read by that app's own user. Its retention is the longest
time for which a reading that was delivered under a consent can still be read from the topic after the withdrawal.
"""


def render() -> str:
    """Write the page."""
    topics = (*TOPICS, app_topic("<app>"))
    rights = table(
        ("Topic", "Written by", "Read by"),
        ((code(topic.name), ", ".join(topic.writers), ", ".join(topic.readers) or "the app") for topic in topics),
    )
    shape = table(
        ("Topic", "Key", "Value", "Partitions", "Kept", "Largest record", "Stamped by"),
        (
            (
                code(topic.name),
                code(topic.key) if "<" in topic.key else topic.key,
                topic.value,
                str(topic.partitions),
                _kept(topic),
                f"{topic.max_message_bytes // 1024:,} KiB",
                "the broker" if topic.log_append_time else "the writer",
            )
            for topic in topics
        ),
    )
    return page("Kafka topics", ABOUT, shape, "## Rights", rights, NOTES)


def _kept(topic: Topic) -> str:
    days = topic.retention_ms // DAY_MS
    return "the newest per key" if topic.compacted else "1 day" if days == 1 else f"{days} days"
