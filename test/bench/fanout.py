"""Ten subscriptions on every event: what they cost the publisher, and how
fast all are served, beside PgQ."""
import contextlib
import multiprocessing
import time

from common import (PATTERN, alternate, connect, envelopes, median, payload,
                    pgbench, ratios, run, spread, value, wait_until)
from publish import PUBLISH

SUBSCRIPTIONS = 10
EVENTS = 20000
BATCH = 1000


def subscribe(connection):
    for i in range(SUBSCRIPTIONS):
        run(connection, 'SELECT event_engine.subscribe(%s, ARRAY[%s],'
            " handler => 'bench.noop')", ('fan_%d' % i, PATTERN))


def set_active(connection, n):
    """The first n deliver, the others are paused; all caught up."""
    for i in range(SUBSCRIPTIONS):
        run(connection, 'SELECT event_engine.%s(%%s)' %
            ('resume_subscription' if i < n else 'pause_subscription'),
            ('fan_%d' % i,))
    caught_up(connection, n)


def caught_up(connection, n):
    """The first n have delivered all: they were there before the log."""
    events = value(connection, 'SELECT count(*) FROM event_engine.events')
    for i in range(n):
        wait_until(connection, 'SELECT delivered = %s FROM bench.stand(%s)',
                   (events, 'fan_%d' % i))


def cpu(connection, publisher, n, events=400):
    """Microseconds of CPU time that the publisher's backend takes an event:
    less at the mercy of the disk than what it publishes a second."""
    def used():
        with open('/proc/%d/schedstat' % publisher.get_backend_pid(),
                  encoding='ascii') as file:
            return int(file.read().split()[0]) / 1000

    set_active(connection, n)
    before = used()
    for i in range(events):
        run(publisher, 'EXECUTE call(%s)', (payload(i),))
    return (used() - before) / events


def publishing(report, options):
    rounds, seconds = (11, 2) if not options.thorough else (9, 6)
    connection = connect()

    def with_active(n):
        set_active(connection, n)
        return pgbench(PUBLISH, 1, seconds)

    ten, one = alternate(lambda: with_active(SUBSCRIPTIONS),
                         lambda: with_active(1), rounds)
    report.note('publishing with ten subscriptions %s events/s, with one %s' %
                (spread(ten), spread(one)))
    report.at_least('publishing with ten subscriptions / with one', 0.95,
                    median(ratios(ten, one)))
    publisher = connect()
    run(publisher, "PREPARE call(jsonb) AS SELECT event_engine.publish_event('%s', $1)"
        % PATTERN)
    ten, one = alternate(lambda: cpu(connection, publisher, SUBSCRIPTIONS),
                         lambda: cpu(connection, publisher, 1), rounds)
    report.note('CPU time of the publisher: with ten subscriptions %s us an event,'
                ' with one %s' % (spread(ten), spread(one)))
    report.add('CPU time of the publisher, with ten / with one', '-',
               '%.2f' % (median(ten) / median(one)), None)
    set_active(connection, SUBSCRIPTIONS)


def ours(connection, batches):
    run(connection, 'CHECKPOINT')
    before = [run(connection, 'SELECT delivered FROM bench.stand(%s)',
                  ('fan_%d' % i,))[0][0] for i in range(SUBSCRIPTIONS)]
    begun = run(connection, 'SELECT clock_timestamp()')[0][0]
    for batch in batches:
        run(connection, 'SELECT count(*) FROM event_engine.publish_events(%s)',
            (batch,))
    published = run(connection, 'SELECT clock_timestamp()')[0][0]
    ended = begun
    for i in range(SUBSCRIPTIONS):
        name = 'fan_%d' % i
        wait_until(connection, 'SELECT delivered >= %s FROM bench.stand(%s)',
                   (before[i] + EVENTS, name))
        ended = max(ended, run(connection,
                               'SELECT moved_at FROM bench.stand(%s)',
                               (name,))[0][0])
    return (EVENTS * SUBSCRIPTIONS / (ended - begun).total_seconds(),
            (published - begun).total_seconds())


def pgq_consumer(i, barrier, results):
    connection = connect('bench_pgq')
    barrier.wait()
    got = 0
    while got < EVENTS:
        batch = run(connection, "SELECT pgq.next_batch('q', %s)",
                    ('f%d' % i,))[0][0]
        if batch is None:
            time.sleep(0.01)
            continue
        got += len(run(connection, 'SELECT ev_id, ev_type, ev_data'
                       ' FROM pgq.get_batch_events(%s)', (batch,)))
        run(connection, 'SELECT pgq.finish_batch(%s)', (batch,))
    results.put(time.monotonic())


def pgq_ticker(stop):
    connection = connect('bench_pgq')
    while not stop.is_set():
        run(connection, "SELECT pgq.ticker('q')")
        time.sleep(0.05)


def pgq_setup():
    connection = connect('postgres')
    run(connection, 'CREATE DATABASE bench_pgq')
    connection = connect('bench_pgq')
    run(connection, 'CREATE EXTENSION pgq')
    return connection


@contextlib.contextmanager
def pgq_queue(connection):
    run(connection, "SELECT pgq.create_queue('q')")
    run(connection, "SELECT pgq.set_queue_config('q', 'ticker_max_lag', '50 milliseconds')")
    for i in range(SUBSCRIPTIONS):
        run(connection, "SELECT pgq.register_consumer('q', %s)", ('f%d' % i,))
    run(connection, 'CHECKPOINT')
    yield
    run(connection, "SELECT pgq.drop_queue('q', true)")


def pgq(connection, batches):
    """As PgQ's consumers do: a batch is fetched and then finished; a ticker
    each 50 ms (its daemon's default of a second would make it slower)."""
    with pgq_queue(connection):
        barrier = multiprocessing.Barrier(SUBSCRIPTIONS + 1)
        results = multiprocessing.Queue()
        stop = multiprocessing.Event()
        ticker = multiprocessing.Process(target=pgq_ticker, args=(stop,))
        consumers = [multiprocessing.Process(target=pgq_consumer,
                                             args=(i, barrier, results))
                     for i in range(SUBSCRIPTIONS)]
        for process in consumers + [ticker]:
            process.start()
        barrier.wait()
        begun = time.monotonic()
        for batch in batches:
            run(connection, "SELECT count(pgq.insert_event('q', %s, x))"
                ' FROM unnest(%s) AS x', (PATTERN, batch))
        published = time.monotonic() - begun
        ended = max(results.get() for _ in consumers)
        for process in consumers:
            process.join()
        stop.set()
        ticker.join()
    return EVENTS * SUBSCRIPTIONS / (ended - begun), published


def beside_pgq(report, options):
    rounds = 5 if not options.thorough else 9
    mine = connect()
    texts = [[payload(i) for i in range(BATCH)]
             for _ in range(EVENTS // BATCH)]
    batches = [envelopes(batch) for batch in texts]
    theirs = pgq_setup()
    caught_up(mine, SUBSCRIPTIONS)
    a, b = alternate(lambda: ours(mine, batches), lambda: pgq(theirs, texts),
                     rounds)
    report.note('deliveries/s %s (publishing took %.2f s), PgQ %s (%.2f s)' %
                (spread([x[0] for x in a]), median([x[1] for x in a]),
                 spread([x[0] for x in b]), median([x[1] for x in b])))
    report.at_least('20,000 events to 10 subscriptions, deliveries/s / PgQ',
                    1.30, median(ratios([x[0] for x in a],
                                        [x[0] for x in b])))


def figures(report, options):
    connection = connect()
    subscribe(connection)
    publishing(report, options)
    if options.pgq:
        beside_pgq(report, options)
    else:
        report.note('PgQ is not installed: no comparison')
    for i in range(SUBSCRIPTIONS):
        run(connection, 'SELECT event_engine.unsubscribe(%s)', ('fan_%d' % i,))
