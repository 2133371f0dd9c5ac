"""One event each 5 ms: from the publisher's call to the handler's start."""
import multiprocessing
import select
import time

from common import (PATTERN, connect, median, payload, percentile, ratios, run,
                    wait_until)

GAP = 0.005
BELL = "SELECT pg_notify('bell', $1)"
INSERT_AND_BELL = """
    WITH stored AS (
        INSERT INTO bench.twin (pattern, version, source, payload, metadata, priority)
        VALUES ('%s', '1.0.0', '{"type": "external", "id": "postgres"}', $1::jsonb,
            jsonb_build_object('correlationId', (random() * 1e12)::bigint::text), 'normal')
        RETURNING id)
    SELECT pg_notify('bell', id::text) FROM stored""" % PATTERN


def publisher(sql, n, start, results, durable):
    """Calls at even intervals; when each call was made and came back."""
    connection = connect()
    if not durable:
        run(connection, 'SET synchronous_commit = off')
    times = []
    run(connection, 'PREPARE call(text) AS ' + sql)
    due = start
    while time.time() < start:
        time.sleep(0.001)
    for i in range(n):
        left = due - time.time()
        if left > 0:
            time.sleep(left)
        called = time.time()
        run(connection, 'EXECUTE call(%s)', (payload(i),))
        times.append((called, time.time()))
        due += GAP
    results.put(times)


def call(sql, n, durable=True):
    results = multiprocessing.Queue()
    start = time.time() + 0.3
    process = multiprocessing.Process(target=publisher,
                                      args=(sql, n, start, results,
                                            durable))
    process.start()
    return process, results


def engine(connection, n, durable=True):
    run(connection, 'TRUNCATE bench.started')
    process, results = call("SELECT event_engine.publish_event('%s', $1::jsonb)"
                            % PATTERN, n, durable)
    times = results.get()
    process.join()
    wait_until(connection, 'SELECT count(*) = %s FROM bench.started', (n,))
    started = dict(run(connection, 'SELECT n, extract(epoch FROM at)::float8'
                       ' FROM bench.started'))
    return [(started[i] - times[i][0], started[i] - times[i][1])
            for i in range(n)]


def notify(n, sql):
    """The same between two clients; sql rings the bell."""
    listener = connect()
    run(listener, 'LISTEN bell')
    process, results = call(sql, n)
    got = []
    while len(got) < n:
        select.select([listener], [], [], 1)
        listener.poll()
        now = time.time()
        got += [now] * len(listener.notifies)
        listener.notifies.clear()
    times = results.get()
    process.join()
    listener.close()
    return [(got[i] - times[i][0], got[i] - times[i][1]) for i in range(n)]


def figures(report, options):
    rounds, n = (5, 800) if not options.thorough else (5, 2000)
    connection = connect()
    run(connection, "SELECT event_engine.subscribe('latency', ARRAY[%s],"
        " handler => 'bench.started')", (PATTERN,))
    variants = {
        'event_engine': lambda m: engine(connection, m),
        'event_engine, synchronous_commit = off':
            lambda m: engine(connection, m, False),
        'LISTEN/NOTIFY': lambda m: notify(m, BELL),
        'INSERT and NOTIFY': lambda m: notify(m, INSERT_AND_BELL)}
    runs = {name: [] for name in variants}
    for measure in variants.values():
        measure(200)
    for i in range(rounds):
        for name in (list(variants) if i % 2 == 0 else
                     reversed(list(variants))):
            runs[name].append(variants[name](n))

    def of(name, which, part):
        return [percentile([x[which] * 1000 for x in r], part)
                for r in runs[name]]

    for name in variants:
        report.note('%s, ms: from call p50 %.2f, p99 %.2f, max %.2f; from return p50 %.2f' %
                    (name, median(of(name, 0, 0.5)), median(of(name, 0, 0.99)),
                     max(of(name, 0, 1)), median(of(name, 1, 0.5))))
    p50 = of('event_engine', 0, 0.5)
    report.at_most("publisher's call to handler, p50 / LISTEN/NOTIFY's", 1.50,
                   median(ratios(p50, of('LISTEN/NOTIFY', 0, 0.5))))
    report.add('the same / INSERT of the event and NOTIFY', '-', '%.2f' %
               median(ratios(p50, of('INSERT and NOTIFY', 0, 0.5))), None)
    report.add('the same, synchronous_commit = off / LISTEN/NOTIFY', '-', '%.2f' %
               median(ratios(of('event_engine, synchronous_commit = off', 0, 0.5),
                             of('LISTEN/NOTIFY', 0, 0.5))), None)
    report.at_most("publisher's call to handler, p99, ms", 3.0,
                   median(of('event_engine', 0, 0.99)))
    report.at_most('commit to handler, p50, ms', 0.5,
                   median(of('event_engine', 1, 0.5)))
    run(connection, "SELECT event_engine.unsubscribe('latency')")
