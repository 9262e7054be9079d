"""What developers and tests need beside the package itself."""
