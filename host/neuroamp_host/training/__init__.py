"""Losses, data stream, loop, checkpoints."""
