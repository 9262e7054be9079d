"""A brute-force oracle of the design's section 3, with generators of histories to hold the engine against."""
