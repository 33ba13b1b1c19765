"""The training program: a classifier for tables of numeric and categorical columns.

The folder is shipped alone to the PyTorch container and run there as `python train.py` or `torchrun train.py`.
It imports nothing from the rest of the project.
"""
