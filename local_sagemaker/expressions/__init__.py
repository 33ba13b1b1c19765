"""Values of a definition that are known only when it runs (`Get`, `Std:Join`, `Std:JsonGet`) and conditions on them.

Nothing here knows steps, actions or the database.
"""
