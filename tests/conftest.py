"""Settings of the whole suite: how hypothesis searches. Fixtures live beside the tests that use them."""

import os

from hypothesis import settings

# The same examples on every run: a change is told from luck. `HYPOTHESIS_PROFILE=long` and `make soak` look for new ones.
settings.register_profile("quick", max_examples=50, deadline=None, print_blob=True, derandomize=True)
settings.register_profile("long", max_examples=2000, deadline=None, print_blob=True)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "quick"))
