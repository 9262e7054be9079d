"""Normalise: bytes of CDC messages in, digest rows out. Row values do not leave this room (DESIGN section 2).

    bytes --formats--> operation, time, key, row image --types--> canonical items --canonical--> key id, row hash

Two decoders obey one contract (``decoder.Decoder``): ``reference`` takes one message at a time in plain Python and is exact;
``columnar`` takes whole batches and hands to the reference what it cannot do. They agree byte for byte.

May import: ``model``, ``errors``, ``limits``. Refuses (``errors.Refused``, by type and place, never the value) whatever has no
canonical form; knows no clock, no randomness, no I/O and no log.
"""
