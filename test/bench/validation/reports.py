"""What it takes to say why a payload is not valid, beside saying that it is not.

Payloads with one mistake anywhere, with three, and with one in what is looked
at last: the boolean answer ends at the first mistake, a report looks at all of
the payload.  Times are CPU time of the backend where the system tells it, so
that what else runs on the machine counts for little.  The ratio is that to the
boolean answer; in brackets without what the statement takes by itself, which
for a set of rows is most of it: there generate_series() stands for it.
"""
import json
import statistics
import time

from payloads import broken

# kind: times each of the payloads is looked at in a statement
KINDS = {'small': 200, 'medium': 200, 'large': 200}
HOWS = ('one', 'three', 'last')
PAYLOADS = 100

NOTHING = 'the statement alone'
SERIES = 'a row of generate_series, the statement alone'
BOOLEAN = 'jsonschema_is_valid'
RAISED = 'the same, and RAISE in a block with EXCEPTION'
# name, expression that is true, what it is compared with, what the statement takes by itself
ROWS = [
    (NOTHING, 'payload IS NOT NULL', None, None),
    (SERIES, '(SELECT count(*) FROM generate_series(1, 1 + (payload IS NULL)::int)) > 0', None, None),
    (BOOLEAN, "NOT event_engine.jsonschema_is_valid(%(schema)s, payload, 'draft7')", None, NOTHING),
    ('jsonschema_errors, counted',
     "(SELECT count(*) FROM event_engine.jsonschema_errors(%(schema)s, payload, 'draft7')) > 0", BOOLEAN, SERIES),
    ('validate_event, counted',
     "(SELECT count(*) FROM event_engine.validate_event('bench.%(kind)s', payload)) > 0", BOOLEAN, SERIES),
    ('jsonschema_output, basic',
     "event_engine.jsonschema_output(%(schema)s, payload, 'basic', 'draft7') IS NOT NULL", BOOLEAN, NOTHING),
    ('jsonschema_output, detailed',
     "event_engine.jsonschema_output(%(schema)s, payload, 'detailed', 'draft7') IS NOT NULL", BOOLEAN, NOTHING),
    (RAISED, 'pg_temp.raised_%(kind)s(payload)', None, None),
    ('publish_event, refused, in such a block', 'pg_temp.refused_%(kind)s(payload)', RAISED, None),
]
FUNCTIONS = """
CREATE FUNCTION pg_temp.raised_%(kind)s(payload jsonb) RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
    IF NOT event_engine.jsonschema_is_valid(%(schema)s, payload, 'draft7') THEN
        RAISE EXCEPTION 'not valid';
    END IF;
    RETURN false;
EXCEPTION WHEN raise_exception THEN RETURN true;
END $$;
CREATE FUNCTION pg_temp.refused_%(kind)s(payload jsonb) RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
    PERFORM event_engine.publish_event('bench.%(kind)s', payload);
    RETURN false;
EXCEPTION WHEN SQLSTATE 'VE101' THEN RETURN true;
END $$;
"""


def clock(cursor):
    """A function that gives the seconds of CPU that the backend has had."""
    path = '/proc/%d/schedstat' % cursor.connection.info.backend_pid
    try:
        with open(path, encoding='ascii') as file:
            file.read()
    except OSError:
        return time.perf_counter

    def seconds():
        with open(path, encoding='ascii') as file:
            return int(file.read().split()[0]) / 1e9
    return seconds


def prepare(cursor, schemas):
    cursor.execute('CREATE TEMP TABLE broken (kind text, how text, payload text)')
    for kind in KINDS:
        literal = cursor.mogrify('%s::jsonb', (json.dumps(schemas[kind]),)).decode()
        cursor.execute('SELECT event_engine.register_event_definition(%s, %s)',
                       ('bench.' + kind, json.dumps(schemas[kind])))
        cursor.execute(FUNCTIONS % {'kind': kind, 'schema': literal})
        for how in HOWS:
            for text in broken(kind, how, PAYLOADS):
                cursor.execute('INSERT INTO broken VALUES (%s, %s, %s)', (kind, how, text))
        schemas[kind] = literal
    cursor.execute('ANALYZE broken')


def measure(cursor, schemas, rounds):
    prepare(cursor, schemas)
    seconds = clock(cursor)
    times = {}
    for turn in range(rounds + 1):
        for name, expression, _, _ in ROWS:
            for kind, repeat in KINDS.items():
                for how in HOWS:
                    # the payloads lie in memory, as they do when an event comes in
                    sql = ('WITH p AS MATERIALIZED (SELECT payload::jsonb AS payload FROM pg_temp.broken '
                           "WHERE kind = '%s' AND how = '%s') SELECT count(*) FILTER (WHERE %s) FROM p, generate_series(1, %d)"
                           % (kind, how, expression % {'schema': schemas[kind], 'kind': kind}, repeat))
                    begin = seconds()
                    cursor.execute(sql)
                    took = seconds() - begin
                    if cursor.fetchone()[0] != PAYLOADS * repeat:
                        raise SystemExit('%s, %s: not all are told to be invalid' % (name, kind))
                    if turn > 0:
                        times.setdefault(name, {}).setdefault((kind, how), []).append(took / repeat / PAYLOADS * 1e9)
    return {name: {column: statistics.median(t) for column, t in of.items()} for name, of in times.items()}


def report(figures):
    columns = [(kind, how) for kind in KINDS for how in HOWS]
    print('\n| nanoseconds per invalid payload | %s |' % ' | '.join('%s, %s' % c for c in columns))
    print('|---|%s' % ('--:|' * len(columns)))
    for name, _, compared, alone in ROWS:
        cells = []
        for column in columns:
            took = figures[name][column]
            cell = '{:,.0f}'.format(took)
            if compared is not None:
                cell += ' = {:.1f}'.format(took / figures[compared][column])
                if alone is not None:
                    cell += ' ({:.1f})'.format((took - figures[alone][column]) /
                                               (figures[compared][column] - figures[NOTHING][column]))
            cells.append(cell)
        print('| %s | %s |' % (name, ' | '.join(cells)))
