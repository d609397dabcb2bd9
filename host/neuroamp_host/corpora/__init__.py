"""Loaders of speech, noise and music data sets, mixing, audiogram sampling."""
