"""Avro as connectors write it: a schema id in front, then one datum under that schema.

    bytes --framing--> id, datum     id --book--> Schema     datum --datum--> the JSON values that ``types`` reads

An Avro schema is read into what Kafka Connect says (``types.Wire``) and a datum into the JSON that its JsonConverter would write
for it, so that every type has one reading, whatever the format. May import ``types`` and ``formats.documents``.
"""
