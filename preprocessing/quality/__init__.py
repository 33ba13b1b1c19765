"""Checks of the finished splits, before a training is paid for."""
