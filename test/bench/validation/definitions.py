"""What the definitions of GitHub's 58 events cost a session: the time until the
first event of each is checked, and the memory that stays.  Times are CPU time
of the backend where the system tells it.
"""
import json
import os

import psycopg2

URI = 'https://octokit/webhooks'


def register(cursor, data):
    with open(os.path.join(data, 'schema.json'), encoding='utf-8') as file:
        cursor.execute('SELECT event_engine.register_schema(%s, %s)', (URI, file.read()))
    patterns = []
    with open(os.path.join(data, 'verdicts.jsonl'), encoding='utf-8') as file:
        for line in file:
            event = json.loads(line)
            patterns.append('github.' + event['name'])
            cursor.execute('SELECT event_engine.register_event_definition(%s, %s)', (
                patterns[-1], json.dumps({'$ref': URI + '#/definitions/' + event['definition']})))
    return patterns


def cpu_seconds(pid):
    """Of a process, or None where the system does not tell."""
    try:
        with open('/proc/%d/schedstat' % pid, encoding='ascii') as file:
            return int(file.read().split()[0]) / 1e9
    except OSError:
        return None


def measure(cursor, data):
    patterns = register(cursor, data)
    connection = psycopg2.connect('')       # one that has compiled nothing yet
    connection.autocommit = True
    fresh = connection.cursor()
    # neither loading the library nor planning the statement
    fresh.execute("SELECT event_engine.jsonschema_is_valid('true', 'true'), pg_backend_pid()")
    pid = fresh.fetchone()[1]
    took = []
    for pattern in patterns:
        before = cpu_seconds(pid)
        fresh.execute("SELECT count(*) FROM event_engine.validate_event(%s, '{}')", (pattern,))
        took.append(((cpu_seconds(pid) or 0) - (before or 0)) * 1e3)
    fresh.execute("SELECT sum(total_bytes) FROM pg_catalog.pg_backend_memory_contexts WHERE name LIKE 'event_engine%'")
    memory = int(fresh.fetchone()[0])
    connection.close()
    return took, memory


def report(took, memory):
    print('\nGitHub\'s schema, in a session that begins: the first of %d definitions is compiled '
          'after %.1f ms (target: 50), with reading the document; the others take %.1f ms together, '
          'at most %.1f each.' % (len(took), took[0], sum(took[1:]), max(took[1:])))
    print('All of them, the document included, take %.1f MB of the session\'s memory (target: 5).' % (memory / 2**20))
