"""One event each 5 ms: from the publisher's call to the handler's start."""
import multiprocessing
import select
import time

from common import (PATTERN, connect, median, payload, percentile, run,
                    wait_until)

GAP = 0.005


def publisher(sql, n, start, results):
    """Calls at even intervals; when each call was made and came back."""
    connection = connect()
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


def call(sql, n):
    results = multiprocessing.Queue()
    start = time.time() + 0.3
    process = multiprocessing.Process(target=publisher,
                                      args=(sql, n, start, results))
    process.start()
    return process, results


def engine(connection, n):
    run(connection, 'TRUNCATE bench.started')
    process, results = call("SELECT event_engine.publish_event('%s', $1::jsonb)"
                            % PATTERN, n)
    times = results.get()
    process.join()
    wait_until(connection, 'SELECT count(*) = %s FROM bench.started', (n,))
    started = dict(run(connection, 'SELECT n, extract(epoch FROM at)::float8'
                       ' FROM bench.started'))
    return [(started[i] - times[i][0], started[i] - times[i][1])
            for i in range(n)]


def notify(connection, n):
    listener = connect()
    run(listener, 'LISTEN bell')
    process, results = call("SELECT pg_notify('bell', $1)", n)
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
    rounds, n = (5, 1000) if not options.thorough else (5, 2000)
    connection = connect()
    run(connection, "SELECT event_engine.subscribe('latency', ARRAY[%s],"
        " handler => 'bench.started')", (PATTERN,))
    engine(connection, 200)
    notify(connection, 200)
    mine, bells = [], []
    for i in range(rounds):
        for which in ((0, 1) if i % 2 == 0 else (1, 0)):
            if which == 0:
                mine.append(engine(connection, n))
            else:
                bells.append(notify(connection, n))

    def of(runs, which, part):
        return [percentile([x[which] * 1000 for x in r], part) for r in runs]

    for name, runs in (('event_engine', mine), ('LISTEN/NOTIFY', bells)):
        report.note('%s, ms: from call p50 %.2f, p99 %.2f, max %.2f; from return p50 %.2f' %
                    (name, median(of(runs, 0, 0.5)), median(of(runs, 0, 0.99)),
                     max(of(runs, 0, 1)), median(of(runs, 1, 0.5))))
    report.at_most("publisher's call to handler, p50 / LISTEN/NOTIFY's", 1.50,
                   median([a / b for a, b in
                           zip(of(mine, 0, 0.5), of(bells, 0, 0.5))]))
    report.at_most("publisher's call to handler, p99, ms", 3.0,
                   median(of(mine, 0, 0.99)))
    report.at_most('commit to handler, p50, ms', 0.5,
                   median(of(mine, 1, 0.5)))
    run(connection, "SELECT event_engine.unsubscribe('latency')")
