"""Avro without Python per row: whole batches of datums through DataFusion's reader, and its columns to canonical texts.

messages --container--> one Arrow batch --carrier--> values by path --reading--> canonical texts
"""
