"""Errors a user can cause or must act on; each class carries the exit code of the command line.

Exit codes: 0 done, 1 unexpected, 2 usage or config, 3 data, 4 weights, 5 checkpoint, 6 diverged,
7 protocol refused, 75 preempted with the state saved, 130 interrupted with the state saved.
"""


class VGBenchError(Exception):
    """Base of every error that is shown as one clear message instead of a traceback.

    The text says what is wrong, what is accepted and the next command, in at most five lines.
    """

    exit_code = 1


class UsageError(VGBenchError):
    """An unknown name, a wrong option or value, or a refused combination of them."""

    exit_code = 2


class UnknownNameError(UsageError):
    """A name that its registry does not hold; the message suggests the nearest ones."""


class FrameLimitError(UsageError):
    """More frames were asked of a model than it can generate."""


class DataError(VGBenchError):
    """Missing, unreadable or too short data."""

    exit_code = 3


class WeightsError(VGBenchError):
    """Weights that are missing or are not what they claim to be."""

    exit_code = 4


class CheckpointError(VGBenchError):
    """A checkpoint that is damaged, foreign, or from a newer version."""

    exit_code = 5


class DivergenceError(VGBenchError):
    """Training met a loss or gradient that is not finite."""

    exit_code = 6


class ExplodedLossError(DivergenceError):
    """A loss is finite, but so large that the weights are spoilt already."""


class ProtocolError(VGBenchError):
    """An evaluation protocol whose demands the videos do not meet."""

    exit_code = 7


class PreemptedError(VGBenchError):
    """The scheduler asked the run to stop (SIGTERM, SIGUSR1); its state is saved."""

    exit_code = 75


class InterruptedRunError(VGBenchError):
    """The user pressed Ctrl-C; the state is saved."""

    exit_code = 130
