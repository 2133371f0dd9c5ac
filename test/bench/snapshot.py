"""A snapshot held open while 1,000 events a second are published and
consumed."""
import time

from common import (PATTERN, Publishers, connect, dead_rows, old_snapshot, run,
                    value)

RATE = 1000
PUBLISHERS = 4


def figures(report, options):
    seconds = options.seconds
    connection = connect()
    run(connection, "SELECT event_engine.subscribe('steady', ARRAY[%s],"
        " handler => 'bench.effect')", (PATTERN,))
    run(connection, 'VACUUM')
    holder = old_snapshot()
    before = sum(dead_rows(connection).values())

    publishers = Publishers(PUBLISHERS, RATE, seconds)
    series = []
    at = publishers.start
    while at < publishers.start + seconds - 1:
        at += 1
        time.sleep(max(0, at - time.monotonic()))
        published = publishers.count.value
        delivered = value(connection,
                          "SELECT delivered FROM bench.stand('steady')")
        series.append((published, delivered))
    published = publishers.finish()
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
