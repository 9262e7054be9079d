"""What a user types (DESIGN 7): commands, their output for people and for machines, exit codes. May import every room.

Exit codes: 0 fine; 1 data differ, or a proof does not hold; 2 nothing open but something inconclusive; 3 the tool, its
configuration or its use failed; 4 a result could not be delivered; 130 interrupted. Results go to stdout, messages to stderr.
"""
