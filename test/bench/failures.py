"""Handlers that fail: what 1 % of failures cost, and what becomes of keys that
have none."""
import json
import multiprocessing
import time

from common import (PATTERN, alternate, connect, envelopes, median, payload,
                    percentile, ratios, run, spread, value, wait_until)

BACKLOG = 100000
KEYS = 10000
HANDLERS = """
CREATE FUNCTION bench.flaky(event event_engine.event) RETURNS void
    LANGUAGE plpgsql AS $$
BEGIN
    IF random() < 0.01 THEN RAISE 'one in a hundred'; END IF;
    INSERT INTO bench.effect VALUES (event.seq, (event.payload ->> 'amount')::numeric);
END $$;
CREATE TABLE bench.mood (good boolean);
INSERT INTO bench.mood VALUES (false);
CREATE FUNCTION bench.moody(event event_engine.event) RETURNS void
    LANGUAGE plpgsql AS $$
BEGIN
    IF (event.payload ->> 'n')::int < 1000000 THEN
        IF NOT (SELECT good FROM bench.mood) THEN RAISE 'not now'; END IF;
        INSERT INTO bench.effect VALUES (event.seq, 0);
    ELSE
        INSERT INTO bench.started
            VALUES ((event.payload ->> 'n')::int, clock_timestamp());
    END IF;
END $$;
CREATE FUNCTION bench.one_bad_key(event event_engine.event) RETURNS void
    LANGUAGE plpgsql AS $$
BEGIN
    IF event.partition_key = 'bad' THEN RAISE 'not this one'; END IF;
    INSERT INTO bench.started VALUES ((event.payload ->> 'n')::int, clock_timestamp());
END $$;
CREATE FUNCTION bench.publish(payload jsonb) RETURNS void LANGUAGE sql AS $$
    SELECT event_engine.publish_event('invoice.created', payload,
        partition_key => 'good ' || ((payload ->> 'n')::int % 100))
$$;
-- now and then one of another key, which fails for ever
CREATE FUNCTION bench.publish_with_bad(payload jsonb) RETURNS void LANGUAGE sql AS $$
    SELECT event_engine.publish_event('invoice.created', payload,
        partition_key => 'bad') WHERE (payload ->> 'n')::int % 100 = 0;
    SELECT event_engine.publish_event('invoice.created', payload,
        partition_key => 'good ' || ((payload ->> 'n')::int % 100))
$$;
"""


def publish(connection, lower, upper, key=None, size=1000):
    for i in range(lower, upper, size):
        run(connection, 'SELECT count(*) FROM event_engine.publish_events(%s)',
            (envelopes((payload(n) for n in range(i, min(i + size, upper))),
                       key and (lambda n, first=i: key(first + n))),))


def settled(connection, subscriber):
    """What has been delivered, is dead, or waits to be tried again."""
    return value(connection, """
        SELECT m.delivered + m.dead + (SELECT count(*)
            FROM event_engine.deliveries AS d
            JOIN event_engine.subscriptions AS s ON s.number = d.subscription_number
            WHERE s.subscriber = %s)
        FROM bench.stand(%s) AS m""", (subscriber, subscriber))


def drain(connection, subscriber, handler, options=(), everything=False):
    """Events a second of the backlog, from its beginning; those that failed
    count when they are written down, or when all of them are through."""
    run(connection, 'TRUNCATE bench.effect')
    run(connection, 'SELECT event_engine.subscribe(%s, ARRAY[%s], handler => %s,'
        ' options => %s)', (subscriber, PATTERN, handler,
                            json.dumps(dict(options, start='beginning'))))
    begun = time.monotonic()
    while (value(connection, 'SELECT delivered + dead FROM bench.stand(%s)',
                 (subscriber,)) if everything else
           settled(connection, subscriber)) < BACKLOG:
        time.sleep(0.005)
    rate = BACKLOG / (time.monotonic() - begun)
    run(connection, 'SELECT event_engine.unsubscribe(%s)', (subscriber,))
    return rate


def one_percent(report, connection, rounds):
    publish(connection, 0, BACKLOG, lambda n: 'key %d' % (n % KEYS))
    run(connection, 'VACUUM ANALYZE event_engine.events')
    run(connection, 'CHECKPOINT')
    failing, sound = alternate(
        lambda: drain(connection, 'flaky', 'bench.flaky',
                      {'backoff_ms': 3600000, 'breaker_threshold': 0}),
        lambda: drain(connection, 'sound', 'bench.effect'), rounds)
    report.note('backlog of 100,000: %s events/s, with 1 %% failing %s' %
                (spread(sound), spread(failing)))
    report.at_least('1 % of the events failing / none', 0.60,
                    median(ratios(failing, sound)))


def ordered(report, connection, rounds):
    """The same backlog, of 10,000 keys; what fails is tried again after
    20 ms, and the events behind it follow."""
    options = {'ordered': True, 'backoff_ms': 20, 'backoff_factor': 1,
               'max_attempts': 100, 'breaker_threshold': 0}
    failing, sound = alternate(
        lambda: drain(connection, 'ordered', 'bench.flaky', options, True),
        lambda: drain(connection, 'sound', 'bench.effect'), rounds)
    report.note('backlog of 100,000: %s events/s; 10,000 keys in order with'
                ' 1 %% failing, to the last one %s' %
                (spread(sound), spread(failing)))
    report.at_least('ordered, 1 % failing / unordered, none failing', 0.60,
                    median(ratios(failing, sound)))


def publisher(rate, seconds, first, results, how):
    connection = connect()
    run(connection, 'PREPARE call(text) AS SELECT bench.%s($1::jsonb)' % how)
    times = []
    start = time.time()
    while time.time() < start + seconds:
        left = start + len(times) / rate - time.time()
        if left > 0:
            time.sleep(left)
        times.append(time.time())
        run(connection, 'EXECUTE call(%s)',
            (payload(first + len(times) - 1),))
    results.put(times)


def fresh_latency(connection, seconds, first, how='publish'):
    """Milliseconds from the call of the publisher to the handler, 200 a
    second."""
    results = multiprocessing.Queue()
    process = multiprocessing.Process(target=publisher,
                                      args=(200, seconds, first, results,
                                            how))
    process.start()
    times = results.get()
    process.join()
    wait_until(connection, 'SELECT count(*) = %s FROM bench.started'
               ' WHERE n >= %s AND n < %s', (len(times), first,
                                             first + len(times)))
    started = dict(run(connection, 'SELECT n, extract(epoch FROM at)::float8'
                       ' FROM bench.started WHERE n >= %s AND n < %s',
                       (first, first + len(times))))
    return [(started[first + i] - at) * 1000 for i, at in enumerate(times)]


def undelayed(report, connection):
    """Do keys without failures wait for those that have some?"""
    run(connection, "SELECT event_engine.subscribe('keys', ARRAY[%s], handler =>"
        " 'bench.one_bad_key', options => '{\"ordered\": true, \"backoff_ms\": 200,"
        " \"backoff_factor\": 1, \"max_attempts\": 1000, \"breaker_threshold\": 0}')", (PATTERN,))
    calm = fresh_latency(connection, 3, 3000000)
    busy = fresh_latency(connection, 3, 4000000, 'publish_with_bad')
    report.note('ordered, new events of keys that do not fail, ms: p50 %.2f, p99'
                ' %.2f; without failures of others p50 %.2f, p99 %.2f' %
                (percentile(busy, 0.5), percentile(busy, 0.99),
                 percentile(calm, 0.5), percentile(calm, 0.99)))
    report.add('delay of keys without failures, p50, ms', '-', '%.2f' %
               (percentile(busy, 0.5) - percentile(calm, 0.5)), None)
    run(connection, "SELECT event_engine.unsubscribe('keys')")


def figures(report, options):
    connection = connect()
    run(connection, HANDLERS)
    one_percent(report, connection, 3 if not options.thorough else 7)
    ordered(report, connection, 3 if not options.thorough else 7)
    undelayed(report, connection)
