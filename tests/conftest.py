"""Settings of all tests."""

import hypothesis

# No test judges wall-clock time, a property-based one included: the machine may be busy.
hypothesis.settings.register_profile("neuroamp", deadline=None)
hypothesis.settings.load_profile("neuroamp")
