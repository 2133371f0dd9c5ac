"""A snapshot held open while 2,000 events a second are published and consumed,
and one in a hundred fails and is tried again."""
import time

from common import (PATTERN, Publishers, connect, dead_rows, old_snapshot, run,
                    value)

RATE = 2000
AT_ONCE = 10
PUBLISHERS = 2
HANDLER = """
CREATE TABLE bench.delay (at timestamptz, ms float8);
CREATE FUNCTION bench.flaky_delay(event event_engine.event) RETURNS void
    LANGUAGE plpgsql AS $$
BEGIN
    IF random() < 0.01 THEN RAISE 'one in a hundred'; END IF;
    INSERT INTO bench.delay VALUES (clock_timestamp(),
        extract(epoch FROM clock_timestamp() - event.created_at) * 1000);
END $$;
"""


def slices(connection, n):
    """Events a second, p50 and p95 of their delay, in n equal slices."""
    return run(connection, """
        SELECT count(*) / extract(epoch FROM max(at) - min(at))::float8,
            percentile_cont(0.5) WITHIN GROUP (ORDER BY ms),
            percentile_cont(0.95) WITHIN GROUP (ORDER BY ms)
        FROM (SELECT at, ms, ntile(%s) OVER (ORDER BY at) AS part
            FROM bench.delay) AS d
        GROUP BY part ORDER BY part""", (n,))


def figures(report, options):
    seconds = options.seconds
    connection = connect()
    run(connection, HANDLER)
    run(connection, "SELECT event_engine.subscribe('flaky', ARRAY[%s],"
        " handler => 'bench.flaky_delay',"
        " options => '{\"breaker_threshold\": 0, \"max_attempts\": 20}')", (PATTERN,))
    run(connection, 'VACUUM')
    holder = old_snapshot()
    published = Publishers(PUBLISHERS, RATE, seconds, AT_ONCE).finish()
    end = time.monotonic() + 60
    while value(connection, "SELECT delivered FROM bench.stand('flaky')") < \
            published and time.monotonic() < end:
        time.sleep(0.1)
    time.sleep(1.5)             # statistics are reported once a second
    report.note('%d s: %d published; dead rows: %s' %
                (seconds, published, ', '.join('%s %d' % x for x in
                                               dead_rows(connection).items())))
    holder.rollback()
    series = slices(connection, 10)
    for rate, p50, p95 in series:
        report.note('%.0f events/s, p50 %.2f ms, p95 %.2f ms' % (rate, p50, p95))
    # the rate is that of the publishers, as long as the delay does not grow
    report.at_most('old snapshot, 1 % retries: p50 delay, last tenth / first',
                   1.25, series[-1][1] / series[0][1])
    report.at_most('the same: p95 delay, last tenth / first', 1.25,
                   series[-1][2] / series[0][2])
    run(connection, "SELECT event_engine.unsubscribe('flaky')")
