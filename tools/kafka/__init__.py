"""A real Kafka broker for developers and tests."""
