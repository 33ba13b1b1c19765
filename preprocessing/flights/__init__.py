"""Everything that knows of flights: columns, features, raw tables, source, limits. Nothing here serves another table.

`table.FLIGHTS` is what the program is given; another table is another module like it.
"""
