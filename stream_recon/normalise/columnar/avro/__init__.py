"""Avro without Python per row: the datums of a batch are walked together, field after field, and read to canonical texts.

messages --walk--> where each field of each datum is (spans) --carrier--> values by path --reading--> canonical texts
"""
