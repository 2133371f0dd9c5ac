"""Nanoseconds per payload of validation, beside what it is compared with.

usage: run.py [--rounds N] [--ajv FOLDER] [--peers FILE]   the database by PGHOST and PGDATABASE

The rows are measured by turns, the median counts; CPU time of the backend where
the system tells it.  A row whose verdicts are not the expected ones ends the
run.  ajv is measured where FOLDER has its node_modules.
"""
import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile

import psycopg2

import definitions
import reports
from payloads import payloads

HERE = os.path.dirname(os.path.abspath(__file__))
DATA = os.path.join(HERE, '..', '..', '..', 'demo', 'data')
# kind: distinct payloads, times each is looked at in a statement
KINDS = {'small': (500, 100), 'medium': (300, 80), 'large': (200, 50), 'github': (0, 100)}
EVENT = 'pull_request'          # GitHub's largest

IS_VALID = "event_engine.jsonschema_is_valid(%(schema)s, payload, '%(dialect)s')"
ERRORS = "NOT EXISTS (SELECT FROM event_engine.jsonschema_errors(%(schema)s, payload, '%(dialect)s'))"
OUTPUT = "event_engine.jsonschema_output(%(schema)s, payload, '{format}', '%(dialect)s') @> '{{\"valid\": true}}'"

# name, expression, dialect (formats are asserted in draft 7), which payloads,
# kinds, what counts as true
ROWS = [
    ('nothing, the statement alone', 'payload IS NOT NULL', None, 'all', KINDS, 'all'),
    ('jsonschema_is_valid', IS_VALID, '2020-12', 'all', ('small', 'medium', 'large'), 'valid'),
    ('jsonschema_is_valid, with formats', IS_VALID, 'draft7', 'all', KINDS, 'valid'),
    ('jsonschema_errors, with formats', ERRORS, 'draft7', 'all', KINDS, 'valid'),
    ('jsonschema_output flag, with formats', OUTPUT.format(format='flag'), 'draft7', 'all', KINDS, 'valid'),
    ('jsonschema_output basic, with formats', OUTPUT.format(format='basic'), 'draft7', 'all', KINDS, 'valid'),
    ('jsonschema_is_valid, only invalid ones', IS_VALID, 'draft7', 'invalid', KINDS, 'none'),
    ('jsonschema_errors, only invalid ones', ERRORS, 'draft7', 'invalid', KINDS, 'none'),
    ('jsonschema_output basic, only invalid ones', OUTPUT.format(format='basic'), 'draft7', 'invalid', KINDS, 'none'),
    ('CHECK by hand, without formats', None, None, 'all', ('small',), 'valid'),
    ('jsonb_hash', 'pg_catalog.jsonb_hash(payload) IS NOT NULL', None, 'all', KINDS, 'all'),
    ('text to jsonb', 'payload::jsonb IS NOT NULL', None, 'text', KINDS, 'all'),
]


def read(*path):
    with open(os.path.join(*path), encoding='utf-8') as file:
        return file.read()


def lines(name):
    return (json.loads(line) for line in read(DATA, name).splitlines())


def github():
    """The schema of one event, and its payloads with the recorded verdicts."""
    schema = json.loads(read(DATA, 'schema.json'))
    verdict = next(v for v in lines('verdicts.jsonl') if v['name'] == EVENT)
    examples = next(e for e in lines('examples.jsonl') if e['name'] == EVENT)['examples']
    texts = [json.dumps(e, ensure_ascii=False, separators=(',', ':')) for e in examples]
    schema = {'$ref': '#/definitions/' + verdict['definition'], 'definitions': schema['definitions']}
    return schema, list(zip(verdict['valid'], texts))


def collect():
    """{kind: (schema, [(valid, text), ...], repeat)}"""
    kinds = {}
    for kind, (n, repeat) in KINDS.items():
        if kind == 'github':
            schema, cases = github()
        else:
            schema = json.loads(read(HERE, 'schemas', kind + '.json'))
            schema.pop('$schema', None)
            cases = list(payloads(kind, n))
        kinds[kind] = (schema, cases, repeat)
    return kinds


def load(cursor, kinds):
    cursor.execute('SET jit = off; SET max_parallel_workers_per_gather = 0; SET work_mem = \'256MB\';'
                   'CREATE TEMP TABLE payloads (kind text, valid boolean, payload text)')
    for kind, (_, cases, _) in kinds.items():
        for valid, text in cases:
            cursor.execute('INSERT INTO payloads VALUES (%s, %s, %s)', (kind, valid, text))
    cursor.execute('ANALYZE payloads')


def statement(cursor, row, kind, kinds):
    """The statement, how many payloads it looks at, what it must count."""
    _, expression, dialect, which, _, counts = row
    schema, cases, repeat = kinds[kind]
    if expression is None:
        expression = read(HERE, 'handwritten.sql')
    else:
        literal = cursor.mogrify('%s::jsonb', (json.dumps(schema),)).decode()
        expression = expression % {'schema': literal, 'dialect': dialect}
    if which == 'invalid':      # there are few
        repeat *= 5
    looked_at = [valid for valid, _ in cases if which != 'invalid' or not valid]
    # the payloads lie in memory, as they do when an event comes in
    sql = ("WITH p AS MATERIALIZED (SELECT payload%s AS payload FROM pg_temp.payloads WHERE kind = '%s'%s) "
           'SELECT count(*) FILTER (WHERE %s) FROM p, generate_series(1, %d)'
           % ('' if which == 'text' else '::jsonb', kind, ' AND NOT valid' if which == 'invalid' else '',
              expression, repeat))
    expected = {'all': len(looked_at), 'valid': sum(looked_at), 'none': 0}[counts]
    return sql, len(looked_at) * repeat, expected * repeat


def measure(cursor, kinds, rounds):
    times = {}
    seconds = reports.clock(cursor)
    for turn in range(rounds + 1):
        for row in ROWS:
            for kind in row[4]:
                sql, n, expected = statement(cursor, row, kind, kinds)
                begin = seconds()
                cursor.execute(sql)
                took = seconds() - begin
                count = cursor.fetchone()[0]
                if count != expected:
                    sys.exit('%s, %s: %d instead of %d' % (row[0], kind, count, expected))
                if turn > 0:
                    times.setdefault(row[0], {}).setdefault(kind, []).append(took / n * 1e9)
    return {name: {kind: statistics.median(t) for kind, t in of.items()} for name, of in times.items()}


def measure_ajv(kinds, folder):
    data = {kind: {'schema': schema, 'payloads': [text for _, text in cases],
                   'valid': sum(valid for valid, _ in cases), 'repeat': repeat}
            for kind, (schema, cases, repeat) in kinds.items()}
    with tempfile.NamedTemporaryFile('w', suffix='.json', encoding='utf-8') as file:
        json.dump(data, file)
        file.flush()
        env = dict(os.environ, NODE_PATH=os.path.join(folder, 'node_modules'))
        return json.loads(subprocess.run(['node', os.path.join(HERE, 'ajv.js'), file.name],
                                         env=env, check=True, capture_output=True, text=True).stdout)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument('--rounds', type=int, default=5)
    parser.add_argument('--ajv')
    parser.add_argument('--peers', help='JSON: [[name, expression, kinds], ...], see docs/validation.md')
    args = parser.parse_args()
    if args.peers:
        with open(args.peers, encoding='utf-8') as file:
            ROWS.extend((name, expression, '2020-12', 'all', [k for k in kinds if k in KINDS], 'valid')
                        for name, expression, kinds in json.load(file))
    connection = psycopg2.connect('')
    connection.autocommit = True
    cursor = connection.cursor()
    kinds = collect()
    load(cursor, kinds)
    figures = measure(cursor, kinds, args.rounds)
    if args.ajv:
        figures.update(measure_ajv(kinds, args.ajv))
    sizes = {kind: sum(len(text.encode()) for _, text in cases) / len(cases) for kind, (_, cases, _) in kinds.items()}
    print('\n| nanoseconds per payload | %s |' % ' | '.join('%s %d B' % (k, sizes[k]) for k in KINDS))
    print('|---|%s' % ('--:|' * len(KINDS)))
    for name, of in figures.items():
        print('| %s | %s |' % (name, ' | '.join('{:,.0f}'.format(of[k]) if k in of else '' for k in KINDS)))

    definitions.report(*definitions.measure(cursor, DATA))
    reports.report(reports.measure(cursor, {kind: kinds[kind][0] for kind in reports.KINDS}, args.rounds))


main()
