"""A snapshot held open while 1,000 events a second are published and
consumed."""
import multiprocessing
import time

from common import PATTERN, connect, payload, run, value

RATE = 1000
PUBLISHERS = 4


def publisher(rate, seconds, start, count):
    connection = connect()
    run(connection, "PREPARE call(jsonb) AS SELECT event_engine.publish_event('%s', $1)"
        % PATTERN)
    while time.monotonic() < start:
        time.sleep(0.001)
    n = 0
    while time.monotonic() < start + seconds:
        left = start + n / rate - time.monotonic()
        if left > 0:
            time.sleep(left)
        run(connection, 'EXECUTE call(%s)', (payload(n),))
        n += 1
        with count.get_lock():
            count.value += 1


def dead_rows(connection):
    """Dead rows of our tables and the partitions of the log."""
    run(connection, 'SELECT pg_stat_clear_snapshot()')
    return dict(run(connection, """
        SELECT relname, n_dead_tup FROM pg_stat_user_tables
        WHERE schemaname = 'event_engine' AND n_dead_tup > 0
        ORDER BY n_dead_tup DESC"""))


def figures(report, options):
    seconds = options.seconds
    connection = connect()
    run(connection, "SELECT event_engine.subscribe('steady', ARRAY[%s],"
        " handler => 'bench.effect')", (PATTERN,))
    run(connection, 'VACUUM')
    holder = connect(autocommit=False)
    holder.set_session(isolation_level='REPEATABLE READ')
    run(holder, 'SELECT count(*) FROM pg_class')
    before = sum(dead_rows(connection).values())

    count = multiprocessing.Value('q', 0)
    start = time.monotonic() + 0.5
    # several, so that a slow disk does not keep them below the rate
    processes = [multiprocessing.Process(target=publisher,
                                         args=(RATE / PUBLISHERS, seconds,
                                               start, count))
                 for _ in range(PUBLISHERS)]
    for process in processes:
        process.start()
    series = []
    at = start
    while at < start + seconds - 1:
        at += 1
        time.sleep(max(0, at - time.monotonic()))
        published = count.value
        delivered = value(connection,
                          "SELECT delivered FROM bench.stand('steady')")
        series.append((published, delivered))
    for process in processes:
        process.join()
    published = count.value
    end = time.monotonic() + 60
    while value(connection, "SELECT delivered FROM bench.stand('steady')") < \
            published and time.monotonic() < end:
        time.sleep(0.01)
    time.sleep(1.5)             # statistics are reported once a second
    dead = dead_rows(connection)
    holder.rollback()

    tail = series[-10:]
    rate = (tail[-1][1] - tail[0][1]) / (len(tail) - 1)
    offered = (tail[-1][0] - tail[0][0]) / (len(tail) - 1)
    behind = max(p - d for p, d in series)
    report.note('%d s: %d published, at the end %.0f/s published and %.0f/s consumed,'
                ' at most %d behind' % (seconds, published, offered, rate, behind))
    report.note('dead rows: %s' % (', '.join('%s %d' % x for x in dead.items())
                                   or 'none'))
    report.at_least('old snapshot held: consumed / published at the end', 0.98,
                    rate / offered)
    report.at_most('old snapshot held: dead rows in our tables, per event',
                   0.001, (sum(dead.values()) - before) / published, '{:.4f}')
    run(connection, "SELECT event_engine.unsubscribe('steady')")
