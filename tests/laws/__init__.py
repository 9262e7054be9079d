"""The laws of DESIGN 3.7, as properties of the whole engine against the oracle in ``tests.oracle``."""
