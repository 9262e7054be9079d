"""What becomes of a key that differs: opened, updated, resolved (DESIGN 3.6). May import ``model, errors, limits``."""
