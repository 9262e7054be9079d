"""A live service on three brokers for an hour, under input that does not end and faults that do not either.

    table ──── rows of both sides, differences among them ────> three brokers <─── "steady", through a network that can fail
                                                                   ^        ^────── "victim", whose processes are killed
    a reader of what is committed, all the time ───────────────────┘

Nothing here knows the service but by its command line, its topics and its metrics: what must be found is known to who wrote it.
"""
