"""Counts and checks of the finished splits, before a training is paid for; nothing here reads or writes files."""
