"""Apache Kafka by confluent-kafka: source topics, the digest log, outputs, and the topics that a deployment owns.

May import: ``model, ports, errors, limits``. One file for each of Kafka's roles; none knows what a row is.
"""
