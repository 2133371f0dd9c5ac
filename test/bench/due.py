"""100,000 retries that are due at one moment: how fast they are worked off, and
what becomes of new events meanwhile; the same with a snapshot held open, which
keeps what is done in the index."""
import multiprocessing
import time

from common import (connect, median, old_snapshot, percentile, run, value,
                    wait_until)
from failures import BACKLOG, HANDLERS, publish, publisher, settled

SECONDS = 5
SUBSCRIBE = """
SELECT event_engine.subscribe('moody', ARRAY['invoice.created'], handler => 'bench.moody',
    options => '{"start": "beginning", "backoff_ms": 86400000, "breaker_threshold": 0}')
"""
DUE = """
UPDATE event_engine.deliveries
SET next_attempt_at = date_trunc('second', now()) + interval '3 seconds'
"""


def fresh(connection, first, watch=None):
    """Milliseconds from the call of the publisher to the handler by the time
    of the call, 200 a second for some seconds; watch is called meanwhile."""
    results = multiprocessing.Queue()
    process = multiprocessing.Process(target=publisher, args=(
        200, SECONDS, first, results, 'publish'))
    process.start()
    if watch:
        watch()
    times = results.get()
    process.join()
    sent = (first, first + len(times))
    wait_until(connection, 'SELECT count(*) = %s FROM bench.started'
               ' WHERE n >= %s AND n < %s', (len(times),) + sent)
    started = dict(run(connection, 'SELECT n, extract(epoch FROM at)::float8'
                       ' FROM bench.started WHERE n >= %s AND n < %s', sent))
    return {at: (started[first + i] - at) * 1000
            for i, at in enumerate(times)}


def work_off(connection, held, first):
    """Rates of the tenths of the work, and the delays while it went on."""
    run(connection, 'TRUNCATE bench.started, bench.effect')
    run(connection, 'UPDATE bench.mood SET good = false')
    run(connection, SUBSCRIBE)
    while settled(connection, 'moody') < BACKLOG:
        time.sleep(0.1)
    calm = list(fresh(connection, first).values())
    run(connection, 'UPDATE bench.mood SET good = true')
    run(connection, DUE)
    run(connection, 'VACUUM event_engine.deliveries')
    holder = old_snapshot() if held else None
    run(connection, 'SELECT event_engine.wake_workers()')
    before = value(connection, "SELECT delivered FROM bench.stand('moody')")
    series = []

    def watch():
        end = time.time() + 60
        while time.time() < end:
            series.append((time.time(), value(
                connection, "SELECT delivered FROM bench.stand('moody')") - before))
            if value(connection, 'SELECT NOT EXISTS (SELECT'
                     ' FROM event_engine.deliveries)'):
                break
            time.sleep(0.02)

    delays = fresh(connection, first + 1000000, watch)
    if holder:
        holder.rollback()
    run(connection, "SELECT event_engine.unsubscribe('moody')")
    run(connection, 'DELETE FROM event_engine.deliveries')
    # new events are among what was delivered, a few among the hundred thousand
    marks = [next(at for at, n in series if n >= BACKLOG * i / 10)
             for i in range(1, 10)]
    rates = [BACKLOG / 10 / max(b - a, 0.001)
             for a, b in zip(marks, marks[1:])]
    busy = [delay for at, delay in delays.items()
            if marks[0] <= at <= series[-1][0]]
    return rates, busy, calm


def figures(report, options):
    connection = connect()
    run(connection, HANDLERS)
    publish(connection, 0, BACKLOG)
    for held in (False, True):
        rates, busy, calm = work_off(connection, held,
                                     3000000 if held else 1000000)
        what = '100,000 retries due at once%s: ' % (', old snapshot' if held
                                                    else '')
        report.note(what + 'events/s by tenths %s' %
                    ' '.join('%.0f' % x for x in rates))
        report.note('%d new events, ms: p50 %.2f, p99 %.2f, max %.2f; without'
                    ' retries p50 %.2f, p99 %.2f' %
                    (len(busy), percentile(busy, 0.5), percentile(busy, 0.99),
                     max(busy), percentile(calm, 0.5), percentile(calm, 0.99)))
        report.at_most(what + 'p99 of new events, ms', 20,
                       percentile(busy, 0.99))
        report.at_least(what + 'rate at the end / at first', 0.5,
                        median(rates[-3:]) / median(rates[:3]))
