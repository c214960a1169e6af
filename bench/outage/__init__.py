"""Kafka or the database away for a while under load, and more load than fits: what is lost, what grows, how fast it recovers."""
