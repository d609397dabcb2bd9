"""Serial client and fitting page."""
