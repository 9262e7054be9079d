"""The same job on the same topics by other engines: CPU, memory, and whether they are right.

    job        two topics with planted faults, and what must be found of them; the two exercises
    catalogue  the engines: what each is, and the command that runs it
    fetching   installs them into .broker, from pinned versions, and compiles what is Java
    process    one engine as a tree of processes: what it uses, and its end
    measuring  runs an engine over a job, and hears what it says
    report     figures of several rounds, and the tables of docs/peers.md

``python -m benchmarks.peers``, or ``make bench-peers``. ``engines`` and ``java`` hold what the other engines run; it is never
imported here. docs/peers.md says how it is measured.
"""
