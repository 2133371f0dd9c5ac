"""Working off a backlog with handlers in PL/pgSQL, in one executor.

Subscriptions stand paused before the backlog is published, each for one
round; a round resumes one of them.  The time of a round is the server's: from
just before the call of resume_subscription to the last move of the cursor,
which is when the last batch was about to commit.
"""
from common import (PATTERN, connect, envelopes, median, payload, ratios, run,
                    spread, value, wait_until)

BACKLOG = 100000


def publish(connection, events, size=1000):
    for i in range(0, events, size):
        run(connection, 'SELECT count(*) FROM event_engine.publish_events(%s)',
            (envelopes(payload(n) for n in range(i, i + size)),))


def drain(connection, subscriber):
    """Events a second of one backlog."""
    begun = value(connection, 'SELECT clock_timestamp()')
    run(connection, 'SELECT event_engine.resume_subscription(%s)',
        (subscriber,))
    wait_until(connection, 'SELECT delivered >= %s FROM bench.stand(%s)',
               (BACKLOG, subscriber))
    moved, delivered = run(
        connection, 'SELECT moved_at, delivered FROM bench.stand(%s)',
        (subscriber,))[0]
    assert delivered == BACKLOG, delivered
    return BACKLOG / (moved - begun).total_seconds()


def in_one_select(connection, handler):
    begun, ended, n = run(connection, """
        WITH begun AS MATERIALIZED (SELECT clock_timestamp() AS at),
            done AS MATERIALIZED (
                SELECT count(bench.%s(ROW(e.*)::event_engine.event)) AS n
                FROM begun, event_engine.events AS e)
        SELECT begun.at, clock_timestamp(), done.n FROM done, begun""" % handler)[0]
    assert n == BACKLOG, n
    return BACKLOG / (ended - begun).total_seconds()


def figures(report, options):
    rounds = 5 if not options.thorough else 9
    connection = connect()
    names = {h: ['%s_%d' % (h, i) for i in range(rounds + 1)]
             for h in ('noop', 'effect')}
    for handler, subscribers in names.items():
        for name in subscribers:
            run(connection, 'SELECT event_engine.subscribe(%s, ARRAY[%s],'
                ' handler => %s)', (name, PATTERN, 'bench.' + handler))
            run(connection, 'SELECT event_engine.pause_subscription(%s)',
                (name,))
    # Keeps an executor alive between the rounds.
    run(connection, "SELECT event_engine.subscribe('alive', ARRAY[%s],"
        " handler => 'bench.noop')", (PATTERN,))
    publish(connection, BACKLOG)
    wait_until(connection, "SELECT delivered = %s FROM bench.stand('alive')",
               (BACKLOG,))
    run(connection, 'VACUUM ANALYZE event_engine.events')
    run(connection, 'CHECKPOINT')

    rates = {'noop': [], 'effect': []}
    floor = {'noop': [], 'effect': []}
    for i in range(rounds + 1):
        for handler in rates:
            run(connection, 'TRUNCATE bench.effect')
            ours = drain(connection, names[handler][i])
            if handler == 'effect':
                assert value(connection,
                             'SELECT count(*) FROM bench.effect') == BACKLOG
            run(connection, 'TRUNCATE bench.effect')
            theirs = in_one_select(connection, handler)
            if i > 0:
                rates[handler].append(ours)
                floor[handler].append(theirs)
    for handler in rates:
        report.note('%s: executor %s events/s, one SELECT %s' %
                    (handler, spread(rates[handler]), spread(floor[handler])))
    report.at_least('backlog of 100,000, no-op handler, events/s', 300000,
                    median(rates['noop']), '{:,.0f}')
    report.add('the same / the handler in one SELECT', '-',
               '%.2f' % median(ratios(rates['noop'], floor['noop'])), None)
    report.at_least('handler with one INSERT / the handler in one SELECT', 0.70,
                    median(ratios(rates['effect'], floor['effect'])))
    for subscribers in names.values():
        for name in subscribers:
            run(connection, 'SELECT event_engine.unsubscribe(%s)', (name,))
    run(connection, "SELECT event_engine.unsubscribe('alive')")
