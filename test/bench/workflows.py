"""Workflows: resumptions a second, and how long an event takes to its step;
the same beside many waits of others; time-outs; steps in a row."""
import threading
import time

from common import (connect, median, percentile, pgbench, run, run_file,
                    value, wait_until)

INSTANCES = 10000
TIMEOUTS = 100000
# Waits of nobody, each for its own value: what the index has to be searched in.
OTHERS = """
INSERT INTO event_engine.workflow_waits (id, instance_id, number, name, pattern,
        filter_path, key, snapshot, seq, base_seq, xid)
    SELECT bench.uuid7(), bench.uuid7(), w.number, w.name, w.pattern,
        n.condition, event_engine.equality_key(w.pattern, n.condition),
        pg_current_snapshot(), w.seq, w.base_seq, pg_current_xact_id()
    FROM (SELECT '$.payload.order == ' || 1000000000 + n
            FROM generate_series(%s, %s) AS n) AS n (condition),
        (SELECT * FROM event_engine.workflow_waits
            WHERE pattern IS NOT NULL LIMIT 1) AS w
"""
# What publishing costs, and not what the disk does meanwhile.
NO_FLUSH = "dbname=bench options='-c synchronous_commit=off'"
PUBLISH = """
\\set n random(100000000, 200000000)
SELECT event_engine.publish_event('order.paid', jsonb_build_object('order', :n::integer));
"""


def start(connection, workflow, inputs):
    """Have so many instances take their first step."""
    run(connection, "SELECT count(event_engine.start_workflow(%s, x.input))"
        " FROM (" + inputs + ") AS x (input)", (workflow,))
    wait_until(connection, "SELECT NOT EXISTS (SELECT FROM"
               " event_engine.workflow_instances WHERE status = 'running')",
               timeout=300)


def orders(first, n):
    return ("SELECT jsonb_build_object('order', n)"
            " FROM generate_series(%d, %d) AS n" % (first, first + n - 1))


def resume(connection, first, n):
    """Resumptions a second, from the first event's commit to the last step."""
    start(connection, 'order', orders(first, n))
    begun = time.monotonic()
    for i in range(first, first + n, 100):
        run(connection, "SELECT count(*) FROM event_engine.publish_events((SELECT"
            " jsonb_agg(jsonb_build_object('pattern', 'order.paid', 'payload',"
            " o.input)) FROM (%s) AS o (input)))" % orders(i, 100))
    wait_until(connection, "SELECT NOT EXISTS (SELECT FROM"
               " event_engine.workflow_instances WHERE workflow = 'order'"
               " AND status = 'waiting' AND (input ->> 'order')::int >= %s)",
               (first,), timeout=300)
    wall = n / (time.monotonic() - begun)
    rate = value(connection, """
        SELECT count(*) / extract(epoch FROM max(finished_at) - min(started_at))::float8
        FROM (SELECT * FROM event_engine.workflow_steps WHERE step = 'paid'
            ORDER BY started_at DESC LIMIT %s) AS s""", (n,))
    return rate, wall


def paced(connection, first, n, rate):
    """Milliseconds from the commit of each event, as its publisher learns of
    it, to the start of its step."""
    start(connection, 'order', orders(first, n))
    begun = time.monotonic()
    committed = {}
    for i in range(n):
        left = begun + i / rate - time.monotonic()
        if left > 0:
            time.sleep(left)
        run(connection, "SELECT event_engine.publish_event('order.paid',"
            " jsonb_build_object('order', %s))", (first + i,))
        committed[first + i] = time.time()
    wait_until(connection, "SELECT NOT EXISTS (SELECT FROM"
               " event_engine.workflow_instances WHERE workflow = 'order'"
               " AND status = 'waiting' AND (input ->> 'order')::int >= %s)",
               (first,))
    return [max(0, at - committed[order]) * 1000
            for order, at in run(connection, """
        SELECT (i.input ->> 'order')::int,
            extract(epoch FROM s.started_at)::float8
        FROM event_engine.workflow_steps AS s
        JOIN event_engine.workflow_instances AS i ON i.id = s.instance_id
        WHERE s.step = 'paid' ORDER BY s.started_at DESC LIMIT %s""", (n,))
            if order in committed]


def timeouts(report, connection, n):
    start(connection, 'nap', "SELECT jsonb_build_object('until', clock_timestamp()"
          " + interval '1 s' * %f + interval '10 s' * n / %d)"
          " FROM generate_series(1, %d) AS n" % (n / 2500 + 5, n, n))
    latest = []
    publisher = threading.Thread(
        target=lambda: latest.extend(paced(connect(), 50000000, 1000, 100)))
    wait_until(connection, "SELECT EXISTS (SELECT FROM event_engine.workflow_steps"
               " WHERE step = 'over')", timeout=300)
    publisher.start()
    # by the index of time-outs: looking at all instances would take a core
    wait_until(connection, "SELECT NOT EXISTS (SELECT FROM"
               " event_engine.workflow_waits WHERE timeout_at IS NOT NULL)",
               timeout=300)
    publisher.join()
    late = [x[0] for x in run(connection, """
        SELECT extract(epoch FROM s.started_at - (i.input ->> 'until')::timestamptz)::float8
        FROM event_engine.workflow_steps AS s
        JOIN event_engine.workflow_instances AS i ON i.id = s.instance_id
        WHERE s.step = 'over'""")]
    report.at_most('%d time-outs in 10 s: the latest, seconds late' % n, 1,
                   max(late))
    report.note('time-outs: p50 %.3f s late, p99 %.3f s' %
                (median(late), percentile(late, 0.99)))
    report.at_most('fresh events meanwhile: p99 to the step, ms', 20,
                   percentile(latest, 0.99))


def figures(report, options):
    connection = connect()
    others = 1000000 if options.thorough else 100000
    run_file(connection, 'workflows.sql')
    first = 1
    rates = []
    for _ in range(4):
        rate, wall = resume(connection, first, INSTANCES)
        rates.append(rate)
        report.note('%.0f resumes/s; %.0f/s as the publisher sees it' %
                    (rate, wall))
        first += INSTANCES
    alone = median(rates[1:])
    report.at_least('10,000 waits: resumes/s', 3850, alone, '{:,.0f}')
    delays = paced(connection, first, 1000, 100)
    first += 1000
    report.at_most('commit of the event to start of the step: p50, ms', 2,
                   percentile(delays, 0.5))
    report.at_most('the same: p99, ms', 20, percentile(delays, 0.99))
    plain = [pgbench(PUBLISH, 1, 5, NO_FLUSH) for _ in range(3)]

    # one that stays, to make the others of
    start(connection, 'order', orders(0, 1))
    run(connection, OTHERS, (1, others))
    report.note('waits and their indexes: %d MB' % value(connection,
                "SELECT pg_total_relation_size('event_engine.workflow_waits') >> 20"))
    run(connection, 'VACUUM ANALYZE')
    rates = []
    for _ in range(4):
        rates.append(resume(connection, first, INSTANCES)[0])
        first += INSTANCES
    report.at_least('beside %d waits: share of that rate' % others, 0.9,
                    median(rates[1:]) / alone)
    delays = paced(connection, first, 1000, 100)
    first += 1000
    report.at_most('the same: p99 to the step, ms', 20,
                   percentile(delays, 0.99))
    report.at_least('the same: publishing, share of without waits', 0.95,
                    median([pgbench(PUBLISH, 1, 5, NO_FLUSH) for _ in range(3)]) /
                    median(plain))
    timeouts(report, connection, TIMEOUTS if options.thorough else 20000)

    begun = time.monotonic()
    start(connection, 'ten', "SELECT '{}'::jsonb FROM generate_series(1, 1000)")
    report.note('1,000 workflows of ten steps: %.0f steps/s' %
                (10000 / (time.monotonic() - begun)))
    for _ in range(20):
        start(connection, 'ten', "SELECT '{}'::jsonb")
    took = value(connection, """
        SELECT percentile_cont(0.5) WITHIN GROUP (
            ORDER BY extract(epoch FROM finished_at - created_at) * 1000)
        FROM (SELECT * FROM event_engine.workflow_instances
            WHERE workflow = 'ten' ORDER BY created_at DESC LIMIT 20) AS i""")
    report.add('ten steps, from start to finish: p50, ms', '-',
               '%.1f' % took, None)
