"""A page that a command serves: who may ask (`guard`), where it listens (`serving`)."""
