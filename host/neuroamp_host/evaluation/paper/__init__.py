"""The tables and figures of the paper, on open data or on its own."""
