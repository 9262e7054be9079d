"""Brings two change streams to the same points in time: ranges and gaps, side watermarks, pieces of windows, versions in order.

May import: ``model, errors, limits``. Decides nothing about equality and performs no I/O.
"""
