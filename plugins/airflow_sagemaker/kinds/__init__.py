"""Kinds of pipelines: one folder each, whose `__init__` has its configuration in `CONFIG`, as "module:Class".

No other module refers to this class: `config.kinds` finds it by the name of the folder.
"""
