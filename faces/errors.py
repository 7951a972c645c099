"""The two errors a person can cause, each carrying one sentence for them to read."""


class InputError(Exception):
    """The input or the call is wrong.

    The message is one sentence that names the thing, its value, what was expected and the remedy.
    The command line prints it and exits with code 2.
    """


class UnreadableImage(Exception):
    """One image cannot be decoded; the message is the reason. The sample is quarantined, never dropped."""
