"""Inference engines behind one interface: a net step with explicit state."""
