"""The world's side of the ports: one vendor per file. May import: ``model``, ``ports``, ``errors``, ``limits``."""
