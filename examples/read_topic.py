"""Reads what patients share with an app, as it comes. Ctrl-C ends it; the next start goes on where this one stopped."""

import json
import os

from confluent_kafka import Consumer

name = os.environ["APP_NAME"]
consumer = Consumer(
    {
        "bootstrap.servers": os.environ["APP_KAFKA"],
        "security.protocol": "SASL_SSL",
        "ssl.ca.location": os.environ["APP_CA_FILE"],
        "sasl.mechanisms": "SCRAM-SHA-512",
        "sasl.username": f"app-{name}",
        "sasl.password": os.environ["APP_PASSWORD"],
        "group.id": f"agora-app-{name}",
        "auto.offset.reset": "earliest",
    }
)
consumer.subscribe([f"agora.app.{name}.v1"])
seen: set[bytes] = set()
try:
    while True:
        message = consumer.poll(1.0)
        if message is None or message.error() or message.key() in seen:
            continue
        seen.add(message.key())
        print(dict(message.headers())["ce_type"].decode(), json.dumps(json.loads(message.value()), indent=1))  # noqa: T201
except KeyboardInterrupt:
    consumer.close()
