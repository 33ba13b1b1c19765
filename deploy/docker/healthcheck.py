"""Health checks of the containers: `healthcheck.py http://...` or `healthcheck.py SchedulerJob`.

`airflow jobs check` reports the same, but takes four CPU seconds each time, for each of four services. This script
reads a job's heartbeat from the database in a tenth of a second.
"""

from __future__ import annotations

import os
import socket
import sys
import urllib.request

from stack import StackError, require, run

FRESH_SECONDS = 60
HEARTBEAT = """
SELECT extract(epoch FROM now() - max(latest_heartbeat)) FROM job
WHERE job_type = %s AND hostname = %s AND state = 'running'
"""


def main() -> None:
    """Exit with 0 if the URL or job type in the argument is healthy."""
    target = sys.argv[1]
    if target.startswith("http"):
        check_url(target)
    else:
        check_job(target)


def check_url(url: str) -> None:
    """Check that the URL returns 200. Uses no proxy, since it is in this container."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(url, timeout=5) as answer:
            if answer.status == 200:
                return
            raise StackError(f"{url} returned {answer.status}")
    except OSError as error:
        raise StackError(f"{url}: {error}") from None


def check_job(job_type: str) -> None:
    """Check that this host's job of that type has written a heartbeat within FRESH_SECONDS."""
    import psycopg2

    url = require("AIRFLOW__DATABASE__SQL_ALCHEMY_CONN").replace("postgresql+psycopg2://", "postgresql://")
    hosts = {socket.getfqdn(), os.environ.get("HOSTNAME", "")}
    with psycopg2.connect(url, connect_timeout=5) as connection, connection.cursor() as cursor:
        ages = []
        for host in hosts:
            cursor.execute(HEARTBEAT, (job_type, host))
            ages += [row[0] for row in cursor.fetchall() if row[0] is not None]
    if not ages:
        raise StackError(f"no {job_type} of {' or '.join(sorted(hosts))} runs")
    if min(ages) > FRESH_SECONDS:
        raise StackError(f"the {job_type} has not shown a heartbeat for {min(ages):.0f} s")


if __name__ == "__main__":
    run(main)
