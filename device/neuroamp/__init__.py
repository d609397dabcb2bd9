"""NeuroAMP's device runtime: the streaming chain on a Raspberry Pi or a laptop (no torch)."""

__version__ = "0.1.0"
