"""The vectorised decoder: the bytes of the reference decoder, without Python per row.

Where a batch is healthy it is decoded by numpy, Arrow and DataFusion; every message about which this package has the slightest
doubt goes to the reference decoder, alone. See ``decoder`` for the order of work.
"""

from stream_recon.normalise.columnar.decoder import ColumnarDecoder, Statistics

__all__ = ["ColumnarDecoder", "Statistics"]
