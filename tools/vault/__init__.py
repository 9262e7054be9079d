"""A Vault of this machine's own: its core, HTTP API and transit engine, built from its Go modules."""
