"""The one exception family that reaches a user: one sentence, what was wrong and what to do."""


class NeuroampError(Exception):
    """A user's mistake or a bad input.

    The message is one sentence with the expected and the actual value and what to do about it.
    The command line prints it without a stack trace and exits with code 2.
    """
