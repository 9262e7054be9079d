"""``stream-recon bench``: what this machine and this program do on a real broker, against the cost of reading the topics at all.

    data      a dual write with planted faults, made from a seed       roofline   reads both topics, hashes every message
    payloads  its rows as messages                                     workers    the service's stages, each in a process
    produce   both sides into two topics                               stages     one digest log, and the workers on it
    topology  and the file to run on them                              meter      what a process has used
    found     what was said, against what was planted                  figures    CPU, rates and memory
    pace      rows as they come, in real time                          live       the service meanwhile
    latency   how long certificates take then

May import ``adapters.kafka``, ``service``, ``engine``, ``model``, ``ports``, ``errors`` and ``limits``. Its stages are those of
``run`` (``cli.worker``), on a deployment as ``run`` opens it (``cli.deployment``, ``cli.collecting``): what is measured is what
runs. A figure is told only with whether what was found is what was planted.
"""
