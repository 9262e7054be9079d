"""Two sets of versions in, verdicts out. Knows left (source) and right (target) only; times, logs and stores are unknown here.

May import: ``model, errors, limits``.
"""
