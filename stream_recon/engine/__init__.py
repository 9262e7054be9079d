"""Runs the core at its own pace against ports: normaliser, reconciler, replay.

May import the core (``model, config, normalise, align, compare, lifecycle, audit``), ``ports``, ``errors`` and ``limits``;
adapters are handed in by ``cli``.
"""
