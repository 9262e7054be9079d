"""The nouns that every other room speaks: frozen values, no behaviour beyond their own invariants.

May import: ``errors`` and ``limits`` only.
"""
