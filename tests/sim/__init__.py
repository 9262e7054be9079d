"""The simulator: that it runs, that it finds what is wrong, and the thousands of seeds."""
