"""What can go wrong, said in one line.

TrainingError            the input, the configuration or the machine does not allow training: main prints it, writes it
|                        to the job's failure file and exits with 1
+-- HyperparameterError  a hyperparameter is unknown, missing or of the wrong type
+-- DataError            a channel, file, column or value is not what was promised
|   +-- ColumnError      the same of a column, said by those who do not know which channel it is of
+-- CheckpointError      a checkpoint belongs to another training
Interrupted              SIGTERM arrived: the state is saved and the program exits with 143
"""

from __future__ import annotations


class TrainingError(Exception):
    """Training cannot go on; the message is one line that says what was found and what was expected."""


class HyperparameterError(TrainingError):
    """A hyperparameter is unknown, missing or of the wrong type."""


class DataError(TrainingError, ValueError):
    """A channel, file, column or value is not what was promised."""


class ColumnError(DataError):
    """A column or value is not what was promised; whoever knows the channel puts its name before the message."""


class CheckpointError(TrainingError):
    """A checkpoint belongs to another training."""


class Interrupted(Exception):
    """SIGTERM arrived (a spot interruption, or somebody stopped the job)."""
