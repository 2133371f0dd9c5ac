"""Urgent events behind a backlog that an executor is working off."""
import time

from common import PATTERN, connect, payload, run, value, wait_until
from consume import publish

BACKLOG = 1000000
URGENT = 20


def figures(report, options):
    connection = connect()
    run(connection, 'SELECT event_engine.subscribe(%s, ARRAY[%s],'
        ' handler => %s)', ('urgent', PATTERN, 'bench.urgent'))
    run(connection, "SELECT event_engine.pause_subscription('urgent')")
    publish(connection, BACKLOG)
    # Keeps an executor alive, as that of a busy role is.
    run(connection, "SELECT event_engine.subscribe('alive', ARRAY[%s],"
        " handler => 'bench.noop', options => '{\"start\": \"now\"}')",
        (PATTERN,))
    run(connection, "PREPARE urgent(jsonb) AS SELECT event_engine.publish_event('%s', $1,"
        " priority => 'critical')" % PATTERN)
    run(connection, "SELECT event_engine.resume_subscription('urgent')")
    wait_until(connection, "SELECT delivered > 0 FROM bench.stand('urgent')")
    returned = []
    for i in range(URGENT):
        run(connection, 'EXECUTE urgent(%s)', (payload(i),))
        returned.append(time.time())
        time.sleep(0.05)
    left = BACKLOG - value(connection,
                           "SELECT delivered FROM bench.stand('urgent')")
    wait_until(connection, 'SELECT count(*) = %s FROM bench.started', (URGENT,))
    started = dict(run(connection, 'SELECT n, extract(epoch FROM at)::float8'
                       ' FROM bench.started'))
    waits = sorted((started[i] - returned[i]) * 1000 for i in range(URGENT))
    report.note('%d urgent events into a backlog of 1,000,000, %d of which were'
                ' left at the end: from commit to handler %.1f to %.1f ms, median %.1f' %
                (URGENT, left, waits[0], waits[-1], waits[URGENT // 2]))
    assert left > 0, 'the backlog was worked off too soon'
    report.at_most('urgent event behind a backlog of 1,000,000, ms', 50,
                   waits[-1], '{:.1f}')
    for name in ('urgent', 'alive'):
        run(connection, 'SELECT event_engine.unsubscribe(%s)', (name,))
