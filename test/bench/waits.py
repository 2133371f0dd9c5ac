"""What an event costs the dispatcher beside so many waits on its pattern: one
that ends none of them, and one that ends one."""
from common import (connect, cpu_seconds, median, run, run_file, value,
                    wait_until)
from workflows import INSTANCES, OTHERS, orders, start

EVENTS = 20000
ROUNDS = 3


def publish(connection, first, n):
    for i in range(first, first + n, 1000):
        run(connection, "SELECT count(*) FROM event_engine.publish_events((SELECT"
            " jsonb_agg(jsonb_build_object('pattern', 'order.paid', 'payload',"
            " o.input)) FROM (%s) AS o (input)))" % orders(i, 1000))


def cost(connection, first, wanted):
    """Microseconds of the executor's CPU time an event; the last one is
    waited for, and so tells that all have been read."""
    n = INSTANCES if wanted else EVENTS
    start(connection, 'order', orders(first, n) if wanted
          else orders(first + n - 1, 1))
    pid = value(connection, "SELECT pid FROM pg_stat_activity"
                " WHERE backend_type = 'event_engine executor'")
    before = cpu_seconds(pid)
    publish(connection, first, n)
    wait_until(connection, "SELECT NOT EXISTS (SELECT FROM"
               " event_engine.workflow_instances WHERE workflow = 'order'"
               " AND status = 'waiting' AND (input ->> 'order')::int >= %s)",
               (first,), timeout=300)
    return (cpu_seconds(pid) - before) / n * 1e6


def figures(report, options):
    connection = connect()
    run_file(connection, 'workflows.sql')
    # one that stays, to make the others of
    start(connection, 'order', orders(0, 1))
    first, others, costs = 1, 0, {}
    for waits in (10, 10000, 1000000 if options.thorough else 100000):
        run(connection, OTHERS, (others + 1, waits))
        others = waits
        run(connection, 'VACUUM ANALYZE')
        for wanted in (False, True):
            measured = []
            for _ in range(ROUNDS + 1):
                measured.append(cost(connection, first, wanted))
                first += max(EVENTS, INSTANCES)
            costs[wanted, waits] = median(measured[1:])
        report.note('%7d waits: %.1f us of CPU time for an event that ends none,'
                    ' %.1f for one that ends one and the step' %
                    (waits, costs[False, waits], costs[True, waits]))
    report.at_most('an event that ends none: beside %d waits / beside 10' % waits,
                   1.2, costs[False, waits] / costs[False, 10])
    report.at_most('an event that ends one: beside %d waits / beside 10' % waits,
                   1.2, costs[True, waits] / costs[True, 10])
