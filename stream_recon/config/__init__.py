"""Strings become a frozen typed plan here, once: the topology file, its checks, and which columns each pair compares.

May import: ``errors``, ``limits`` and ``model``. Nothing past this room looks into a mapping of settings.
"""

from stream_recon.config.identity import configuration_hash, rules_id
from stream_recon.config.live import check_together
from stream_recon.config.load import load_topologies, load_topology
from stream_recon.config.resolve import resolve_feeds, unused_settings

__all__ = [
    "check_together",
    "configuration_hash",
    "load_topologies",
    "load_topology",
    "resolve_feeds",
    "rules_id",
    "unused_settings",
]
