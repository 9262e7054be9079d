"""Golden vectors of the canonical form: JSON files for any implementation (README.md), and how this project's tests read them."""
