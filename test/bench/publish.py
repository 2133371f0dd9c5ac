"""Publishing beside a plain INSERT into a twin of the table of events."""
import time

from common import (PATTERN, alternate, connect, envelopes, median, payload,
                    pgbench, ratios, run, spread)

PUBLISH = "SELECT event_engine.publish_event('%s', :payload::jsonb);\n" % PATTERN
INSERT = """\\set k random(1, 1000000000000)
INSERT INTO bench.twin (pattern, version, source, payload, metadata, priority)
VALUES ('%s', '1.0.0', '{"type": "external", "id": "postgres"}', :payload::jsonb,
    jsonb_build_object('correlationId', :k::text), 'normal');
""" % PATTERN

PREPARE = """
PREPARE publish_batch(jsonb) AS SELECT count(*) FROM event_engine.publish_events($1);
PREPARE insert_batch(jsonb) AS
    INSERT INTO bench.twin (pattern, version, source, payload, metadata, priority)
    SELECT e ->> 'pattern', '1.0.0', '{"type": "external", "id": "postgres"}', e -> 'payload',
        jsonb_build_object('correlationId', (random() * 1e12)::bigint::text), 'normal'
    FROM jsonb_array_elements($1) AS e;
PREPARE insert_texts(text[]) AS
    INSERT INTO bench.twin (pattern, version, source, payload, metadata, priority)
    SELECT '%s', '1.0.0', '{"type": "external", "id": "postgres"}', e::jsonb,
        jsonb_build_object('correlationId', (random() * 1e12)::bigint::text), 'normal'
    FROM unnest($1) AS e;
""" % PATTERN


def single(report, options):
    rounds, seconds = (9, 2) if not options.thorough else (11, 5)
    for clients in (1, 8):
        ours, theirs = alternate(
            lambda: pgbench(PUBLISH, clients, seconds),
            lambda: pgbench(INSERT, clients, seconds), rounds)
        report.note('publish_event %s events/s, INSERT %s' %
                    (spread(ours), spread(theirs)))
        report.at_least('publish_event, %d client%s / INSERT' %
                        (clients, 's' * (clients > 1)),
                        0.90, median(ratios(ours, theirs)))


def batch(report, options):
    size = 1000
    calls = 60 if not options.thorough else 200
    texts = [payload(i) for i in range(size)]
    events = envelopes(texts)
    connection = connect()
    run(connection, PREPARE)

    def timed(sql, argument):
        begun = time.perf_counter()
        run(connection, sql, (argument,))
        return size / (time.perf_counter() - begun)

    def ours():
        return timed('EXECUTE publish_batch(%s)', events)

    run(connection, 'CHECKPOINT')
    ours_rates, theirs = alternate(
        ours, lambda: timed('EXECUTE insert_batch(%s)', events), calls)
    report.note('publish_events %s events/s, INSERT ... SELECT %s' %
                (spread(ours_rates), spread(theirs)))
    report.at_least('publish_events of 1,000 / INSERT ... SELECT of the same array',
                    1.00, median(ratios(ours_rates, theirs)))
    ours_rates, theirs = alternate(
        ours, lambda: timed('EXECUTE insert_texts(%s::text[])', texts), calls)
    report.add('the same / INSERT ... SELECT from 1,000 texts', '-',
               '%.2f' % median(ratios(ours_rates, theirs)), None)


def figures(report, options):
    connection = connect()
    run(connection, 'CHECKPOINT')
    single(report, options)
    batch(report, options)
