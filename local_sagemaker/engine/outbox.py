"""Delivers the messages of Callback steps: to a folder, and to an HTTP hook on this machine.

Delivery is at least once, as with SQS: a message is marked as delivered only after its delivery, and the next server
retries the others.
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
"""Between attempts to deliver a message."""


class Outbox:
    """The thread that delivers the messages in the database."""

    def __init__(self, db: Database, data_dir: Path, hook: str | None) -> None:
        """Write messages to `callbacks/QUEUE/NUMBER.json`, and send them to `hook`, a URL, until it returns 2xx."""
        self._db = db
        self._data_dir = data_dir
        self._hook = hook
        self._changed = threading.Event()
        self._ending = False
        self._thread = threading.Thread(target=self._run, name="outbox", daemon=True)

    def start(self) -> None:
        """Deliver an earlier server's messages, then new ones."""
        self._changed.set()
        self._thread.start()

    def wake(self) -> None:
        """Signal that there are messages to deliver."""
        self._changed.set()

    def shutdown(self) -> None:
        """Stop delivering."""
        self._ending = True
        self._changed.set()
        if self._thread.is_alive():
            self._thread.join(timeout=2)  # do not wait for a hook that does not respond

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
        """Whether all messages are delivered."""
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
        partial = path.with_suffix(".partial")  # readers of the folder must not see a partial message
        partial.write_text(row["body"])
        partial.replace(path)
        if self._hook is not None:
            _post(self._hook, row["queue"], row["body"])


def _post(hook: str, queue: str, body: str) -> None:
    """Send a message; HTTPException for any response except 2xx, including redirects."""
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
