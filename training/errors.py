"""Errors, each with a message of one line.

TrainingError            the input, the configuration or the machine does not allow training: main prints it, writes it
|                        to the job's failure file and exits with 1
+-- HyperparameterError  a hyperparameter is unknown, missing or of the wrong type
+-- DataError            a channel, file, column or value is not what was expected
|   +-- ColumnError      the same for a column, raised where its channel is not known
+-- CheckpointError      a checkpoint belongs to another training
Interrupted              SIGTERM arrived: the state is saved and the program exits with 143
"""

from __future__ import annotations


class TrainingError(Exception):
    """Training cannot continue; the message says in one line what was found and what was expected."""


class HyperparameterError(TrainingError):
    """A hyperparameter is unknown, missing or of the wrong type."""


class DataError(TrainingError, ValueError):
    """A channel, file, column or value is not what was expected."""


class ColumnError(DataError):
    """A column or value is not what was expected; the caller, who knows the channel, prefixes its name."""


class CheckpointError(TrainingError):
    """A checkpoint belongs to another training."""


class Interrupted(Exception):
    """SIGTERM arrived (a spot interruption, or somebody stopped the job)."""
