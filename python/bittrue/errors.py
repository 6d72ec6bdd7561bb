"""Errors with the exit code that the command line gives them (see docs: 0 pass, 1 mismatch, 2 usage, ...)."""


class BittrueError(Exception):
    """Base of all errors a user can cause; the message is one clear line."""

    exit_code = 5


class MismatchError(BittrueError):
    """A comparison failed or a threshold was missed."""

    exit_code = 1


class UsageError(BittrueError):
    """Wrong options, policy or name map."""

    exit_code = 2


class UnsupportedError(BittrueError):
    """A valid input that needs an op or feature without implementation."""

    exit_code = 3


class DataError(BittrueError):
    """Missing, broken or inconsistent data."""

    exit_code = 4
