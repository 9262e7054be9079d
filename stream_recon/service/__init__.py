"""The live service: what each worker does, step by step, against ports, and the rules of quiet and fast sides.

    opening    a topology on live topics -> its share of the log          normalise   topics -> digest log, with holding, writing
    lifting    which quiet partitions may be lifted, which sides stall    reconcile   digest log -> outputs
    pacing     which partitions wait because their side runs ahead        watch       looks after both between batches
    positions  what the metadata of a committed position holds            report      what a worker says of itself
    standing   the reports of all workers as one picture                  metrics     the picture as metric families

May import ``engine``, ``normalise``, ``config``, ``model``, ``ports``, ``errors`` and ``limits``;
adapters are handed in by ``cli``.
"""
