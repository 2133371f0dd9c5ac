"""Rate limits: how well they hold, and what they cost where there are none."""
import time

from common import (PATTERN, alternate, connect, cpu_seconds, envelopes,
                    median, payload, ratios, run, value, wait_until)
from consume import publish

RATE = 2000
SECONDS = 10
BACKLOG = 100000
OUT_OF_REACH = 1000000


def handled(connection):
    """Events a second of a subscription with a limit, over some seconds."""
    run(connection, "SELECT event_engine.subscribe('limited', ARRAY[%s], handler =>"
        " 'bench.noop', options => '{\"start\": \"beginning\", \"rate_limit\": %s}')",
        (PATTERN, RATE))
    sql = "SELECT extract(epoch FROM clock_timestamp())::float8, delivered FROM bench.stand('limited')"
    # what the bucket held is through by then
    wait_until(connection, "SELECT delivered > %s FROM bench.stand('limited')",
               (RATE,))
    began, first = run(connection, sql)[0]
    time.sleep(SECONDS)
    ended, last = run(connection, sql)[0]
    run(connection, "SELECT event_engine.unsubscribe('limited')")
    return (last - first) / (ended - began)


def published(connection):
    """Events a second of a role with a limit that delays."""
    other = connect()
    run(other, 'SET event_engine.store_publish_rate_action = delay')
    run(other, 'SET event_engine.store_publish_rate_limit = %s', (RATE,))
    run(other, "PREPARE call(jsonb) AS SELECT event_engine.publish_events($1)")
    document = (envelopes(payload(n) for n in range(10)),)
    end = time.monotonic() + 1
    while time.monotonic() < end:
        run(other, 'EXECUTE call(%s)', document)
    n = 0
    began = time.monotonic()
    while time.monotonic() < began + SECONDS:
        run(other, 'EXECUTE call(%s)', document)
        n += 10
    return n / (time.monotonic() - began)


def handler_cost(connection, options):
    """Microseconds of the executor's CPU time for an event of a backlog."""
    run(connection, "SELECT event_engine.subscribe('cost', ARRAY[%s], handler =>"
        " 'bench.noop', options => %s)", (PATTERN, '{"start": "beginning"%s}' % options))
    run(connection, "SELECT event_engine.pause_subscription('cost')")
    pid = value(connection, "SELECT pid FROM pg_stat_activity"
                " WHERE backend_type = 'event_engine executor'")
    done = value(connection, "SELECT delivered FROM bench.stand('cost')") or 0
    before = cpu_seconds(pid)
    run(connection, "SELECT event_engine.resume_subscription('cost')")
    wait_until(connection, "SELECT delivered >= %s FROM bench.stand('cost')",
               (BACKLOG,))
    cost = (cpu_seconds(pid) - before) / (BACKLOG - done) * 1000000
    run(connection, "SELECT event_engine.unsubscribe('cost')")
    return cost


def publisher_cost(limit):
    """The same of a publisher; what is published is rolled back."""
    other = connect(autocommit=False)
    run(other, 'SET event_engine.store_publish_rate_limit = %s', (limit,))
    pid = value(other, 'SELECT pg_backend_pid()')
    sql = ("SELECT count(event_engine.publish_event('%s', %%s::jsonb))"
           ' FROM generate_series(1, 10000)' % PATTERN)
    run(other, sql, (payload(1),))
    before = cpu_seconds(pid)
    run(other, sql, (payload(1),))
    cost = (cpu_seconds(pid) - before) / 10000 * 1000000
    other.rollback()
    other.close()
    return cost


def figures(report, options):
    rounds = 7 if not options.thorough else 15
    connection = connect()
    publish(connection, BACKLOG)
    for what, measure in (('subscription', handled), ('publisher', published)):
        rate = measure(connection)
        report.note('%s limited to %d a second: %.1f over %d s' %
                    (what, RATE, rate, SECONDS))
        report.at_most('rate limit of a %s: off by, %%, over %d s' %
                       (what, SECONDS), 2, abs(rate / RATE - 1) * 100)
    # keeps an executor alive between the rounds
    run(connection, "SELECT event_engine.subscribe('alive', ARRAY[%s], handler =>"
        " 'bench.noop', options => '{\"start\": \"now\"}')", (PATTERN,))
    wait_until(connection, "SELECT count(*) = 1 FROM pg_stat_activity"
               " WHERE backend_type = 'event_engine executor'")
    limited, free = alternate(
        lambda: handler_cost(connection, ', "rate_limit": %d' % OUT_OF_REACH),
        lambda: handler_cost(connection, ''), rounds)
    report.note('executor, us of CPU time an event: %.2f, with a limit out of'
                ' reach %.2f' % (median(free), median(limited)))
    report.at_most('CPU time of handling: with a limit / without', 1.05,
                   median(ratios(limited, free)))
    limited, free = alternate(lambda: publisher_cost(OUT_OF_REACH),
                              lambda: publisher_cost(0), rounds)
    report.note('publisher, us of CPU time an event: %.2f, with a limit out of'
                ' reach %.2f' % (median(free), median(limited)))
    report.at_most('CPU time of publishing: with a limit / without', 1.05,
                   median(ratios(limited, free)))
    run(connection, "SELECT event_engine.unsubscribe('alive')")
