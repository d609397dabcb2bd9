"""Prescription rules: audiogram to insertion gain, one pure function a file."""
