"""Tables need pyarrow, which comes with the extra `table`: an environment without it leaves these tests out."""

from __future__ import annotations

from importlib.util import find_spec

collect_ignore_glob = [] if find_spec("pyarrow") else ["test_*.py"]
