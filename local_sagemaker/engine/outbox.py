"""Delivers the messages of Callback steps: to a folder, and to an HTTP hook on this machine.

At least once, as SQS does: a message counts as delivered only after it was, and is tried again by the next server.
"""

from __future__ import annotations

import http.client
import logging
import sqlite3
import threading
from pathlib import Path
from urllib.parse import urlsplit

from local_sagemaker.store import messages
from local_sagemaker.store.database import Database

log = logging.getLogger(__name__)

_HOOK_SECONDS = 10.0
_FIRST_PAUSE, _LONGEST_PAUSE = 1.0, 30.0
"""Between attempts at what could not be delivered."""


class Outbox:
    """One thread that delivers what the database holds."""

    def __init__(self, db: Database, data_dir: Path, hook: str | None) -> None:
        """Messages become `callbacks/QUEUE/NUMBER.json`, and are sent to `hook`, an HTTP URL, until it answers 2xx."""
        self._db = db
        self._data_dir = data_dir
        self._hook = hook
        self._changed = threading.Event()
        self._ending = False
        self._thread = threading.Thread(target=self._run, name="outbox", daemon=True)

    def start(self) -> None:
        """Deliver what an earlier server left, then what comes."""
        self._changed.set()
        self._thread.start()

    def wake(self) -> None:
        """There is something to deliver."""
        self._changed.set()

    def shutdown(self) -> None:
        """Deliver nothing any more."""
        self._ending = True
        self._changed.set()
        if self._thread.is_alive():
            self._thread.join(timeout=2)  # a hook that hangs need not be waited for

    def _run(self) -> None:
        pause: float | None = None
        while True:
            self._changed.wait(pause)
            self._changed.clear()
            if self._ending:
                return
            is_done = self._deliver_all()
            pause = None if is_done else min((pause or _FIRST_PAUSE / 2) * 2, _LONGEST_PAUSE)

    def _deliver_all(self) -> bool:
        """Whether nothing is left to be tried again."""
        done = True
        for row in messages.waiting(self._db.read()):
            if self._ending:
                return True
            try:
                self._deliver(row)
                with self._db.write() as connection:
                    messages.mark_as_delivered(connection, row["seq"])
            except (OSError, http.client.HTTPException, sqlite3.OperationalError) as error:
                step = f"step '{row['step_name']}' of {row['execution']}"
                log.warning("the message of %s could not be delivered; retrying: %s", step, error)
                done = False
        return done

    def _deliver(self, row: sqlite3.Row) -> None:
        path = messages.message_path(self._data_dir, row["queue"], row["seq"])
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_suffix(".partial")  # whoever watches the folder must not read half a message
        partial.write_text(row["body"])
        partial.replace(path)
        if self._hook is not None:
            _post(self._hook, row["queue"], row["body"])


def _post(hook: str, queue: str, body: str) -> None:
    """Send a message; HTTPException for an answer that is not a success, a redirection included."""
    target = urlsplit(hook)
    connection = http.client.HTTPConnection(target.hostname or "", target.port, timeout=_HOOK_SECONDS)
    try:
        path = (target.path or "/") + (f"?{target.query}" if target.query else "")
        headers = {"Content-Type": "application/json", "X-Sqs-Queue-Url": queue}
        connection.request("POST", path, body.encode(), headers)
        status = connection.getresponse().status
        if not 200 <= status < 300:
            raise http.client.HTTPException(f"the hook {hook} responded with {status}")
    finally:
        connection.close()
