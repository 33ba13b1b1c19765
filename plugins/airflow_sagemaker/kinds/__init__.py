"""Kinds of pipeline: a folder each, whose `__init__` names its configuration in `CONFIG` as "module:Class".

Nothing outside a kind's folder names its class: `config.kinds` finds it by the name of the folder.
"""
