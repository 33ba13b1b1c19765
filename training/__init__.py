"""The training program: a binary classifier for tables of numeric and categorical columns.

The folder is shipped alone to the PyTorch container and run there as `python train.py` or `torchrun train.py`.
It imports nothing of the rest of the project.
"""
