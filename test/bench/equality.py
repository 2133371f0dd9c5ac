"""Very many subscriptions on one pattern, each for a value of its own: what
routing an event costs, and how fast those that want one have it."""
import time

from common import PATTERN, connect, run, value, wait_until

SIZES = (1, 100, 10000, 100000)
ROUTED = 20000
EVENTS = 2000


def subscribe(connection, first, last):
    """Seconds that it took."""
    begun = time.monotonic()
    run(connection, "SELECT count(event_engine.subscribe('eq_' || i, ARRAY[%s],"
        " handler => 'bench.equal', filter => format('$.payload.customer == \"c%%s\"', i)))"
        ' FROM generate_series(%s, %s) AS i', (PATTERN, first, last))
    return time.monotonic() - begun


def routing(n):
    """Microseconds an event, in a session that knows the subscriptions."""
    connection = connect()
    sql = """
        SELECT count(*) FROM (
            SELECT ROW(NULL, NULL, %s, NULL, '{"type": "external"}', now(),
                jsonb_build_object('customer', 'c' || 1 + i * 7919 %% %s, 'amount', i, 'currency', 'EUR'),
                '{}', now(), NULL, NULL, NULL, 'normal', NULL, NULL, i, NULL)::event_engine.event AS event
            FROM generate_series(1::bigint, %s) AS i OFFSET 0) AS x,
            event_engine.event_subscribers(x.event)"""
    run(connection, sql, (PATTERN, n, 100))
    begun = time.monotonic()
    found = value(connection, sql, (PATTERN, n, ROUTED))
    assert found == ROUTED
    taken = (time.monotonic() - begun) / ROUTED * 1e6
    kept = value(connection, "SELECT sum(total_bytes) FROM pg_backend_memory_contexts"
                 " WHERE name IN ('event_engine routing cache', 'event_engine equality look-up')")
    return taken, int(kept)


def delivery(connection, n):
    """Events a second, each wanted by one of n."""
    before = value(connection, 'SELECT count(*) FROM bench.equals')
    begun = time.monotonic()
    for at in range(0, EVENTS, 100):
        run(connection, """
            SELECT count(event_engine.publish_event(%s, jsonb_build_object('customer',
                'c' || 1 + (i * 7919 + %s) %% %s, 'amount', i, 'currency', 'EUR')))
            FROM generate_series(1, 100) AS i""", (PATTERN, at * 31, n))
    wait_until(connection, 'SELECT count(*) = %s FROM bench.equals',
               (before + EVENTS,))
    return EVENTS / (time.monotonic() - begun)


def figures(report, options):
    connection = connect()
    run(connection, """
        CREATE UNLOGGED TABLE bench.equals (seq bigint);
        CREATE FUNCTION bench.equal(e event_engine.event) RETURNS void LANGUAGE sql AS
            $$ INSERT INTO bench.equals VALUES (e.seq) $$""")
    sizes = SIZES
    done = 0
    for n in sizes:
        seconds = subscribe(connection, done + 1, n)
        each = seconds / (n - done) * 1000
        done = n
        # the executor has read them when it delivers again
        delivery(connection, n)
        taken, kept = min(routing(n) for _ in range(3))
        rate = max(delivery(connection, n) for _ in range(3))
        report.note('%7d subscriptions: routing %.1f us an event, delivery %d events/s,'
                    ' subscribing %.2f ms each, %d kB in a session\'s cache' %
                    (n, taken, rate, each, kept / 1024))
    report.at_most('routing an event with %d subscriptions, us' % n, 50, taken)
