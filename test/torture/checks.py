"""The proofs.  Each finds what should not be, and gives it as lines of text;
an empty list is the proof that there is none."""

import glob
import json
import os
import re

import workflows

# a subscriber is to get an event: since it joined, until it left
EXPECTED = """
SELECT w.subscriber, w.once, p.round, p.session, p.n
FROM torture.published p JOIN torture.wants w
	ON p.pattern ~ w.matching AND p.amount > w.above AND p.tick > w.since
WHERE p.round = %(round)s AND w.until IS NULL
"""
LETTER = """
SELECT l.*, (l.payload ->> 'r')::int AS round, (l.payload ->> 's')::int AS session,
	(l.payload ->> 'n')::int AS n
FROM event_engine.event_dead_letters l WHERE (l.payload ->> 'r')::int = %(round)s
"""
# effects and final letters of each subscriber and event
OUTCOME = """
SELECT subscriber, round, session, n, sum(effects) AS effects, sum(letters) AS letters FROM (
	SELECT subscriber, round, session, n, 1 AS effects, 0 AS letters FROM torture.effect
		WHERE round = %(round)s
	UNION ALL SELECT subscriber, round, session, n, 0, 1 FROM (""" + LETTER + """) l
		WHERE status <> 'redriven') o
GROUP BY subscriber, round, session, n
"""

# name, what it returns are violations
ROWS = [
    ('published and not in the log', """
SELECT p.session, p.n, p.pattern FROM torture.published p WHERE p.round = %(round)s
EXCEPT ALL
SELECT (payload ->> 's')::int, (payload ->> 'n')::int, pattern FROM event_engine.events
WHERE (payload ->> 'r')::int = %(round)s"""),
    ('in the log and never published', """
SELECT (payload ->> 's')::int, (payload ->> 'n')::int, pattern FROM event_engine.events
WHERE (payload ->> 'r')::int = %(round)s
EXCEPT ALL
SELECT p.session, p.n, p.pattern FROM torture.published p WHERE p.round = %(round)s"""),
    ('lost: no effect, and no dead letter', """
SELECT e.subscriber, e.session, e.n FROM (""" + EXPECTED + """) e
EXCEPT SELECT subscriber, session, n FROM (""" + OUTCOME + """) o"""),
    ('effects and final dead letters are not one together', """
SELECT o.subscriber, o.session, o.n, o.effects, o.letters FROM (""" + OUTCOME + """) o
JOIN torture.wants w USING (subscriber)
WHERE CASE WHEN w.once THEN o.effects + o.letters <> 1 ELSE o.letters > 0 AND o.effects > 0 END"""),
    ('an effect of what was not published, or not for this subscriber', """
SELECT e.subscriber, e.session, e.n, e.id FROM torture.effect e
LEFT JOIN torture.wants w USING (subscriber)
WHERE e.round = %(round)s AND NOT EXISTS (SELECT FROM torture.published p
	WHERE p.round = e.round AND p.session = e.session AND p.n = e.n
		AND p.pattern ~ w.matching AND p.amount > w.above)"""),
    ('an effect after unsubscribing', """
SELECT e.subscriber, e.session, e.n, e.tick, w.until FROM torture.effect e
JOIN torture.wants w USING (subscriber) WHERE e.tick > w.until"""),
    ('out of order', """
SELECT subscriber, session, before, n FROM (
	SELECT e.subscriber, e.session, e.n, lag(e.n) OVER key AS before
	FROM torture.effect e JOIN torture.wants w USING (subscriber)
	JOIN torture.published p USING (round, session, n)
	WHERE e.round = %(round)s AND w.fifo AND p.sequential AND NOT p.late AND e.attempts IS NULL
	WINDOW key AS (PARTITION BY e.subscriber, e.session, CASE WHEN w.by_key THEN coalesce(p.key, p.n::text) END
		ORDER BY e.tick)) o
WHERE before > n"""),
    ('out of the order of its key', """
SELECT subscriber, session, key, before, n FROM (
	SELECT e.subscriber, e.session, p.key, e.n, lag(e.n) OVER key AS before
	FROM torture.effect e JOIN torture.wants w USING (subscriber)
	JOIN torture.published p USING (round, session, n)
	WHERE e.round = %(round)s AND w.ordered AND p.sequential AND NOT p.late AND p.key IS NOT NULL
		AND NOT EXISTS (SELECT FROM (""" + LETTER + """) l WHERE l.subscriber = e.subscriber
			AND l.session = e.session AND l.n = e.n)
	WINDOW key AS (PARTITION BY e.subscriber, e.session, p.key ORDER BY e.tick)) o
WHERE before > n"""),
    ('a dead letter that is not complete', """
SELECT l.subscriber, l.event_id, l.retry_count, l.error_message, l.error_details
FROM (""" + LETTER + """) l JOIN torture.wants w USING (subscriber)
LEFT JOIN event_engine.events v ON v.seq = l.seq AND v.created_at = l.original_created_at
WHERE v.id IS NULL OR l.payload IS DISTINCT FROM v.payload OR l.event_type <> v.pattern
	OR l.envelope ->> 'id' <> v.id::text OR l.envelope -> 'payload' IS DISTINCT FROM v.payload
	OR l.retry_count <> w.max_attempts OR l.error_message = ''
	OR (w.kind = 'handler' AND l.error_details ->> 'sqlstate' IS NULL)"""),
    ('given up without a cause', """
SELECT l.subscriber, l.session, l.n, l.error_message, l.error_details FROM (""" + LETTER + """) l
WHERE NOT l.payload ? 'poison' AND l.error_message <> 'the attempt did not end: the worker or the server went down'
	AND l.subscriber NOT IN ('pull_mortal', 'poisoned_json')"""),
    ('waiting for ever', """
SELECT d.subscription_number, s.subscriber, d.status, d.attempts, d.seq, d.next_attempt_at, d.last_error
FROM event_engine.deliveries d LEFT JOIN event_engine.subscriptions s ON s.number = d.subscription_number"""),
    ('a replay that did not end well', """
SELECT r.status, r.error FROM event_engine.event_replays r WHERE r.status <> 'done'"""),
    ('leased for ever', """
SELECT l.subscription_number, s.subscriber, l.attempts, cardinality(l.seqs), l.expires_at
FROM event_engine.event_leases l LEFT JOIN event_engine.subscriptions s ON s.number = l.subscription_number"""),
    ('cursors of nobody', """
SELECT c.subscription_number FROM (SELECT subscription_number FROM event_engine.subscription_cursors
	UNION SELECT subscription_number FROM event_engine.delivery_counts) c
WHERE c.subscription_number NOT IN (SELECT number FROM event_engine.subscriptions)"""),
    ('not active', """
SELECT subscriber, status, status_reason FROM event_engine.subscriptions WHERE status <> 'active'"""),
    ('statistics and truth differ', """
SELECT s.subscriber, s.delivered, x.effects, s.dead, x.letters, s.failed, x.failures FROM event_engine.stat_subscriptions s
JOIN torture.wants w USING (subscriber) LEFT JOIN torture.totals t USING (subscriber)
CROSS JOIN LATERAL (SELECT
	(SELECT count(*) FROM torture.effect e WHERE e.subscriber = s.subscriber) + coalesce(t.delivered, 0) AS effects,
	(SELECT count(*) FROM event_engine.event_dead_letters l WHERE l.subscriber = s.subscriber) AS letters,
	(SELECT count(*) FROM event_engine.event_processing_log l WHERE l.subscriber = s.subscriber AND outcome <> 'delivered')
		+ (SELECT count(*) FROM event_engine.event_dead_letters l WHERE l.subscriber = s.subscriber
			AND l.error_message = 'the attempt did not end: the worker or the server went down')
		+ coalesce(t.failed, 0) AS failures) x
WHERE (w.once AND w.kind <> 'immediate' AND s.delivered <> x.effects) OR s.delivered > x.effects OR s.dead <> x.letters
	OR (w.kind = 'handler' AND s.failed <> x.failures) OR s.failed < s.dead"""),
    ('the processing log and the effects differ', """
SELECT subscriber, id, sum(logged), sum(effects) FROM (
	SELECT subscriber, id, 1 AS logged, 0 AS effects FROM event_engine.event_processing_log WHERE outcome = 'delivered'
	UNION ALL SELECT subscriber, id, 0, 1 FROM torture.effect) l
JOIN torture.wants w USING (subscriber) WHERE w.kind = 'handler'
GROUP BY subscriber, id HAVING sum(logged) <> sum(effects)"""),
]

PENDING = """
SELECT 'to be delivered to ' || subscriber, count(*) FROM (
	SELECT e.subscriber, e.session, e.n FROM (""" + EXPECTED + """) e
	EXCEPT SELECT subscriber, session, n FROM (""" + OUTCOME + """) o) x GROUP BY subscriber
UNION ALL SELECT 'deliveries ' || d.status || ' of ' || coalesce(s.subscriber, 'nobody'), count(*)
FROM event_engine.deliveries d LEFT JOIN event_engine.subscriptions s ON s.number = d.subscription_number GROUP BY 1
UNION ALL SELECT 'replays', count(*) FROM event_engine.event_replays WHERE status = 'running' GROUP BY 1
UNION ALL SELECT 'leases of ' || subscription_number, count(*) FROM event_engine.event_leases GROUP BY 1
"""

# at the end of a round its truth is put together, and the next one begins anew
FORGET = """
INSERT INTO torture.totals AS t SELECT s.subscriber, s.delivered, s.failed
	- (SELECT count(*) FROM event_engine.event_dead_letters l WHERE l.subscriber = s.subscriber
		AND l.error_message = 'the attempt did not end: the worker or the server went down')
	FROM event_engine.stat_subscriptions s JOIN torture.wants USING (subscriber)
	ON CONFLICT (subscriber) DO UPDATE SET delivered = excluded.delivered, failed = excluded.failed;
TRUNCATE torture.effect, torture.published, torture.at_commit;
TRUNCATE event_engine.event_processing_log;
DELETE FROM torture.mended;
DELETE FROM torture.wants WHERE until IS NOT NULL;
"""


def pending(cluster, round_number):
    return (cluster.query(PENDING, {'round': round_number})
            + cluster.query(workflows.PENDING))


def check_tables(cluster, round_number):
    found = []
    for name, sql in ROWS + workflows.ROWS:
        rows = cluster.query('SELECT * FROM (%s) x LIMIT 1000' % sql, {'round': round_number})
        if rows:
            found.append('%s: %d; %s' % (name, len(rows), '; '.join(map(str, rows[:5]))))
    return found


def check_journals(cluster, place, round_number):
    """What clients know against what is there; also how much there was."""
    transactions = {}
    found = []
    counts = {'events': 0, 'transactions': 0, 'rolled back': 0, 'unknown': 0, 'bells': 0}
    for path in sorted(glob.glob(os.path.join(place, 'journal', '*-%d-*' % round_number))):
        with open(path) as journal:
            for line in journal:
                try:
                    entry = json.loads(line)
                except ValueError:
                    continue            # the client was killed while writing
                if entry['what'] in ('will', 'did'):
                    transactions.setdefault(entry['token'], {})[entry['what']] = entry
                elif entry['what'] == 'error':
                    found.append('a client got an error: %s: %s' % (os.path.basename(path), entry))
                elif entry['what'] == 'heard':
                    counts['bells'] += 1
    there = set(cluster.query('SELECT session, n FROM torture.published WHERE round = %s', (round_number,)))
    for token, entries in transactions.items():
        known = entries.get('did') or entries['will']
        present = [n for n in known['e'] if (known['s'], n) in there]
        undone = [n for n in known['x'] if (known['s'], n) in there]
        counts['transactions'] += 1
        counts['events'] += len(present)
        if undone:
            found.append('rolled back and there: %s %s' % (token, undone[:5]))
        if 'did' in entries:
            counts['rolled back'] += not known['e']
            if len(present) < len(known['e']):
                found.append('acknowledged and gone: %s, %d of %d' % (
                    token, len(known['e']) - len(present), len(known['e'])))
        else:
            counts['unknown'] += 1
            if len(present) not in (0, len(known['e'])):
                found.append('in part: %s, %d of %d' % (token, len(present), len(known['e'])))
    return found, counts


# SQLSTATEs that clients and handlers cause on purpose, and that accidents do
EXPECTED_STATES = re.compile(r'P0001|57014|57P0[1-4]|VE402|VE409|VE303|VE203|VE102|VE50[24]|08006|08P01|25P02|40001|00000|55P02|F0001')


class LogWatch:
    """Reads the server's log as it grows."""

    def __init__(self):
        self.points = {}
        self.warnings = {}

    def read(self, text):
        found = []
        for line in text.splitlines():
            match = re.match(r'\S+ \S+ \S+ \[(\d+)\] (.*?) (\w{5}) (\w+): +(.*)', line)
            if 'debug point "' in line:
                name = re.search(r'debug point "(\w+)"', line).group(1)
                self.points[name] = self.points.get(name, 0) + 1
                continue
            if re.search(r'TRAP:|PANIC|AddressSanitizer|runtime error', line):
                found.append('in the log: ' + line)
            killed = re.search(r'was terminated by signal (\d+)', line)
            if killed and killed.group(1) not in ('9',):
                found.append('in the log: ' + line)
            if not match:
                continue
            state, level, message = match.group(3), match.group(4), match.group(5)
            if level in ('ERROR', 'FATAL') and not EXPECTED_STATES.match(state):
                found.append('in the log: ' + line[:400])
            elif level == 'WARNING':
                key = re.sub(r'\d+', 'N', message)
                self.warnings[key] = self.warnings.get(key, 0) + 1
        return found
