"""Metrics, tables, figures."""
