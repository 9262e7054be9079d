"""Kafka Connect with Debezium, and a schema registry, for developers and tests."""
