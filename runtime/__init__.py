"""What every process needs: settings, telemetry, clients of Kafka and the database, the view of a compacted topic."""
