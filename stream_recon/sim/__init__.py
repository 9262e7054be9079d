"""The deployment in one thread and virtual time, driven by a seed: the workers as they are, on Kafka and disks that are modelled.

    world     who runs when; crashes and pauses between any two requests         broker    topics, transactions, groups, retention
    clients   the parts of confluent-kafka's API that the adapters use:          disk      a store that loses what was not synced
              consumers, producers, admin, each on its line to the broker
    rows      a dual write with planted faults, and what it must come to         laws      what must hold afterwards
    trial     one seed from the first row to the verdict

The same seed gives the same run, to the octet. May import everything but ``cli``, ``demo`` and ``bench``.
"""
