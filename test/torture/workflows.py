"""Workflows under torture: who starts and cancels them, publishes for them and
waits from outside; and the proofs that each step was taken once."""

import json
import time

from clients import Client

KINDS = ['_c', '_s']
# started by clients; the others by triggers and parents
STARTED = ['ping', 'ping', 'race', 'race', 'sleeper', 'saga', 'late', 'family', 'breaks', 'nap']


class Conductor(Client):
    """Starts, cancels, orders, and orchestrates what has no handler."""

    expected = ('VE502', 'VE504')

    def connected(self):
        self.session = '%d-%d-%d-%d' % (self.round, self.number, self.sessions, self.random.randrange(10 ** 6))
        self.sessions += 1
        self.made = 0
        self.waiting = []       # called_off, to be stopped
        self.outside = []       # instances without a handler

    sessions = 0

    def act(self):
        what = self.random.choices(['start', 'cancel', 'order', 'stop', 'policies', 'register', 'meet'],
                                   [5, 2, 3, 3, 4, 4, 6])[0]
        self.sql(self.random.choice(['BEGIN', 'BEGIN', 'BEGIN ISOLATION LEVEL REPEATABLE READ']))
        self.ordered = None
        getattr(self, what)()
        if self.end() and self.ordered:
            self.waiting.append(self.ordered)
        time.sleep(self.random.expovariate(1 / 0.1))

    def end(self):
        """True: committed."""
        how = self.random.random()
        if how < 0.08:
            self.sql('ROLLBACK')
        elif how < 0.14:
            self.made += 1
            name = 'w-%s-%d' % (self.session, self.made)
            self.sql("PREPARE TRANSACTION '%s'" % name)
            if how > 0.1:
                time.sleep(self.random.uniform(0, 0.3))
                self.sql("%s PREPARED '%s'" % (self.random.choice(['COMMIT', 'COMMIT', 'ROLLBACK']), name))
        else:
            if how < 0.2:
                time.sleep(self.random.uniform(0, 0.6))
            self.sql('COMMIT')
            return True
        return False

    def start(self):
        for _ in range(self.random.randint(1, 4)):
            of = self.random.choice(KINDS)
            kind = self.random.choice(STARTED)
            given = {'saga': {'end': self.random.choice(['complete', 'fail', 'wait'])},
                     'late': {'end': 'wait'}, 'family': {'of': of}}.get(kind, {})
            if kind in ('breaks', 'saga') and self.chance(0.3):
                given['poison'] = True
            key = '%d-%s-%d' % (self.round, kind, self.random.randrange(100)) if self.chance(0.1) else None
            self.sql('INSERT INTO torture.flow_started SELECT event_engine.start_workflow(%s, %s,'
                     ' idempotency_key => %s), %s, %s', (kind + of, json.dumps(given), key, kind + of, key))

    def cancel(self):
        self.sql('INSERT INTO torture.flow_cancelled SELECT s.instance, event_engine.cancel_workflow(s.instance)'
                 ' FROM (SELECT instance FROM torture.flow_started ORDER BY random() LIMIT 1) s')

    def publish(self, pattern, key, what):
        self.sql("INSERT INTO torture.flow_order SELECT %s, %s, event_engine.publish_event(%s,"
                 " jsonb_build_object('key', %s::text), partition_key => %s)", (key, what, pattern, key, key))

    def order(self):
        self.made += 1
        key = '%s-%d' % (self.session, self.made)
        self.publish('flow.order', key, 'order')
        self.ordered = key

    def stop(self):
        if self.waiting:
            self.publish('flow.stop', self.waiting.pop(0), 'stop')

    def policies(self):
        for _ in range(self.random.randint(1, 3)):
            what = self.random.choice(['once', 'again'])
            self.publish('flow.' + what, '%d-%d' % (self.round, self.random.randrange(4)), what)

    def register(self):
        """A wait from outside: what it sees is known, and what it must match."""
        self.made += 1
        key = '%s-%d' % (self.session, self.made)
        of = self.random.choice(KINDS)
        self.sql('COMMIT')
        instance = self.sql('SELECT event_engine.start_workflow(%s)', ('outside' + of,))[0][0]
        for _ in range(200):
            if self.sql('SELECT steps FROM event_engine.workflow_instances WHERE id = %s', (instance,))[0][0]:
                break
            time.sleep(0.02)
        else:
            self.sql('BEGIN')
            return
        self.outside.append(key)
        self.sql(self.random.choice(['BEGIN', 'BEGIN', 'BEGIN ISOLATION LEVEL REPEATABLE READ']))
        if self.chance(0.3):
            self.meet()
        wait = self.sql("SELECT event_engine.register_workflow_wait(%s, 'flow.meet',"
                        " '$.payload.key == \"' || %s || '\"')", (instance, key))[0][0]
        self.sql('INSERT INTO torture.flow_wait SELECT id, instance_id, %s, snapshot, xid, created_at FROM event_engine.workflow_waits'
                 ' WHERE id = %s', (key, wait))
        if self.chance(0.3):
            time.sleep(self.random.uniform(0, 0.3))

    def meet(self):
        # of other sessions, too, which may be about to register it
        keys = self.outside[-3:] + [key for key, in self.sql(
            'SELECT key FROM torture.flow_wait ORDER BY random() LIMIT 2')]
        for key in keys[:3]:
            if self.chance(0.5):
                self.sql("INSERT INTO torture.flow_meet SELECT %s, event_engine.publish_event('flow.meet',"
                         " jsonb_build_object('key', %s::text), deliver_at => CASE WHEN %s THEN"
                         " clock_timestamp() + random() * interval '500 ms' END)",
                         (key, key, self.chance(0.15)))

    def finish(self):
        for key in self.waiting:
            self.publish('flow.stop', key, 'stop')
        self.waiting = []
        return True


# orders whose client was killed before it could stop them
STOP = """
INSERT INTO torture.flow_order SELECT key, 'stop', event_engine.publish_event('flow.stop',
	jsonb_build_object('key', key), partition_key => key)
FROM torture.flow_order GROUP BY key HAVING bool_or(what = 'order') AND NOT bool_or(what = 'stop')
"""
# those that wait for what never comes
CANCEL = """
INSERT INTO torture.flow_cancelled SELECT i.id, event_engine.cancel_workflow(i.id)
FROM event_engine.workflow_instances i WHERE i.workflow ~ '^saga' AND i.status = 'waiting' AND i.steps >= 5
"""
# an event that a wait from outside is to be ended by
MET = """
SELECT w.wait, w.instance, w.key, count(e.id) AS events FROM torture.flow_wait w
LEFT JOIN (torture.flow_meet m JOIN event_engine.events e ON e.id = m.event)
	ON m.key = w.key AND (e.deliver_at > w.at OR CASE WHEN e.xid = w.xid THEN e.created_at >= w.at
		ELSE NOT pg_visible_in_snapshot(e.xid, w.seen) END)
GROUP BY 1, 2, 3
"""

PENDING = """
SELECT 'workflows ' || workflow || ' ' || status, count(*) FROM event_engine.workflow_instances i
WHERE finished_at IS NULL AND workflow !~ '^outside' AND NOT (status = 'compensating' AND EXISTS (
	SELECT FROM event_engine.workflow_compensations c WHERE c.instance_id = i.id AND c.status = 'failed'))
GROUP BY 1
UNION ALL SELECT 'first steps outside', count(*) FROM event_engine.workflow_instances
	WHERE workflow ~ '^outside' AND steps = 0 AND finished_at IS NULL HAVING count(*) > 0
UNION ALL SELECT 'outside', count(*) FROM (""" + MET + """) m
	WHERE m.events > 0 AND EXISTS (SELECT FROM event_engine.workflow_waits w WHERE w.id = m.wait) HAVING count(*) > 0
UNION ALL SELECT 'postponed', count(*) FROM event_engine.workflow_postponed HAVING count(*) > 0
UNION ALL SELECT 'orders', count(*) FROM torture.flow_order o WHERE what = 'order' AND NOT EXISTS (
	SELECT FROM event_engine.workflow_instances i WHERE i.correlation_key = o.key) HAVING count(*) > 0
"""

ROWS = [
    ('a step was taken twice, or its effects', """
SELECT instance, number, count(*) FROM torture.flow_effect GROUP BY 1, 2 HAVING count(*) > 1"""),
    ('history and effects differ', """
SELECT coalesce(s.instance_id, e.instance), coalesce(s.step_number, e.number), s.result, s.resumed_by, e.kind, s.event_id, e.event
FROM (SELECT h.* FROM event_engine.workflow_steps h JOIN event_engine.workflow_instances i ON i.id = h.instance_id
	WHERE i.workflow !~ '^outside' AND h.result <> 'retry' AND h.resumed_by NOT IN ('call', 'compensation')
		AND h.result <> 'timed_out' AND NOT (h.result = 'failed' AND h.error_message <> 'as it was told')) s
FULL JOIN torture.flow_effect e ON e.instance = s.instance_id AND e.number = s.step_number
WHERE s.instance_id IS NULL OR e.instance IS NULL OR s.resumed_by <> e.kind OR s.event_id IS DISTINCT FROM e.event"""),
    ('a step has two outcomes', """
SELECT instance_id, step_number, count(*), array_agg(result) FROM event_engine.workflow_steps
WHERE result NOT IN ('retry', 'failed') AND resumed_by <> 'call' GROUP BY 1, 2 HAVING count(*) > 1"""),
    ('a gap in the history', """
SELECT i.id, i.workflow, i.status, i.steps, count(DISTINCT h.step_number), max(h.step_number)
FROM event_engine.workflow_instances i LEFT JOIN event_engine.workflow_steps h ON h.instance_id = i.id
	AND h.step_number <= i.steps
GROUP BY i.id HAVING count(DISTINCT h.step_number) <> i.steps"""),
    ('an event resumed an instance twice', """
SELECT instance, event, count(*) FROM torture.flow_effect WHERE event IS NOT NULL GROUP BY 1, 2 HAVING count(*) > 1"""),
    ('waits of instances that are over', """
SELECT w.id, i.workflow, i.status FROM event_engine.workflow_waits w LEFT JOIN event_engine.workflow_instances i
	ON i.id = w.instance_id WHERE i.id IS NULL OR i.status <> 'waiting'"""),
    ('an instance waits for nothing', """
SELECT i.id, i.workflow, i.status FROM event_engine.workflow_instances i WHERE i.status = 'waiting'
	AND NOT EXISTS (SELECT FROM event_engine.workflow_waits w WHERE w.instance_id = i.id)"""),
    ('started, and gone', """
SELECT s.* FROM torture.flow_started s LEFT JOIN event_engine.workflow_instances i ON i.id = s.instance
WHERE i.id IS NULL"""),
    ('an idempotency key has several', """
SELECT workflow, key, count(DISTINCT instance) FROM torture.flow_started WHERE key IS NOT NULL
GROUP BY 1, 2 HAVING count(DISTINCT instance) > 1"""),
    ('cancelled and not so', """
SELECT c.instance, i.workflow, i.status, count(*) FILTER (WHERE c.answer) FROM torture.flow_cancelled c
JOIN event_engine.workflow_instances i ON i.id = c.instance
GROUP BY 1, 2, 3, i.parent_id HAVING count(*) FILTER (WHERE c.answer) > 1
	OR (i.status <> 'cancelled' AND i.status <> 'compensating' AND bool_or(c.answer))
	OR (i.status = 'cancelled' AND i.parent_id IS NULL AND NOT bool_or(c.answer))"""),
    ('ended in a way that nobody wanted', """
SELECT i.id, i.workflow, i.status, i.last_error FROM event_engine.workflow_instances i
WHERE CASE WHEN i.status IN ('running', 'waiting') THEN i.workflow !~ '^outside'
	WHEN i.status = 'cancelled' THEN i.parent_id IS NULL AND i.workflow !~ '^(called_off|again|outside)'
		AND NOT EXISTS (SELECT FROM torture.flow_cancelled c WHERE c.instance = i.id AND c.answer)
	WHEN i.status = 'timed_out' THEN i.workflow !~ '^late'
	WHEN i.status = 'failed' THEN NOT (i.workflow ~ '^saga' AND i.input ->> 'end' = 'fail'
		OR i.workflow ~ '^breaks' AND i.input ? 'poison' AND NOT EXISTS (SELECT FROM torture.mended)
		OR i.workflow ~ '^breaks' AND i.last_error LIKE '%%not in the mood%%'
		OR i.workflow ~ '^breaks' AND i.last_error LIKE 'step exceeded%%'
		OR i.workflow ~ '^breaks' AND i.last_error LIKE 'the server process ended%%')
	WHEN i.status = 'completed' THEN i.workflow ~ '^(called_off|late|outside)'
		OR i.workflow ~ '^saga' AND i.input ->> 'end' <> 'complete'
	WHEN i.status = 'compensating' THEN NOT EXISTS (SELECT FROM event_engine.workflow_compensations c
		WHERE c.instance_id = i.id AND c.status = 'failed') END"""),
    ('undone by half, twice, or without need', """
SELECT i.id, i.workflow, i.status, i.input, array_agg(c.argument ->> 'k' ORDER BY c.position) FILTER (WHERE c.status = 'done'),
	(SELECT array_agg(u.k ORDER BY u.tick) FROM torture.flow_undone u WHERE u.instance = i.id), count(*)
FROM event_engine.workflow_instances i JOIN event_engine.workflow_compensations c ON c.instance_id = i.id
GROUP BY i.id HAVING (SELECT array_agg(u.k ORDER BY u.tick) FROM torture.flow_undone u WHERE u.instance = i.id)
		IS DISTINCT FROM array_agg((c.argument ->> 'k')::int ORDER BY c.position DESC) FILTER (WHERE c.status = 'done')
	OR CASE WHEN i.status = 'completed' THEN bool_or(c.status <> 'registered')
		WHEN i.status IN ('failed', 'cancelled', 'timed_out') THEN bool_or(c.status <> 'done') END
	OR count(*) <> (SELECT count(*) FROM torture.flow_effect e WHERE e.instance = i.id AND e.number <= 4)"""),
    ('a child that outlives its parent, or a parent without children', """
SELECT p.id, p.status, array_agg(c.status) FROM event_engine.workflow_instances p
LEFT JOIN event_engine.workflow_instances c ON c.parent_id = p.id WHERE p.workflow ~ '^family' AND p.finished_at IS NOT NULL
GROUP BY 1, 2 HAVING (p.status = 'completed' AND count(c.id) <> 3) OR bool_or(c.finished_at IS NULL AND c.status <> 'compensating')"""),
    ('an order has not started one workflow of each', """
SELECT o.key, o.what, count(i.id) FROM torture.flow_order o LEFT JOIN event_engine.workflow_instances i
	ON i.metadata ->> 'causationId' = o.event::text
WHERE o.what IN ('order', 'again') GROUP BY o.event, o.key, o.what HAVING count(i.id) <> 2"""),
    ('two of a key at once', """
SELECT a.workflow, a.correlation_key, a.id, a.created_at, a.finished_at, b.id, b.created_at
FROM event_engine.workflow_instances a JOIN event_engine.workflow_instances b USING (workflow, correlation_key)
WHERE a.workflow ~ '^(once|again)' AND a.created_at < b.created_at AND coalesce(a.finished_at, 'infinity') > b.created_at
	AND a.id <> b.id"""),
    ('no event of a key has started one', """
SELECT o.key FROM torture.flow_order o WHERE o.what = 'once' AND NOT EXISTS (SELECT FROM event_engine.workflow_instances i
	WHERE i.workflow ~ '^once' AND i.correlation_key = o.key) GROUP BY 1"""),
    ('a trigger has failed', """
SELECT workflow, error_message, error_details FROM event_engine.workflow_trigger_failures"""),
    ('a wait from outside missed its event, or had another', """
SELECT m.*, h.n, h.event_id FROM (""" + MET + """) m
CROSS JOIN LATERAL (SELECT count(*) AS n, min(s.event_id::text) AS event_id FROM event_engine.workflow_steps s
	WHERE s.instance_id = m.instance AND s.resumed_by = 'event') h
WHERE h.n <> least(m.events, 1) OR (h.n = 1 AND NOT EXISTS (SELECT FROM torture.flow_meet f
	WHERE f.key = m.key AND f.event::text = h.event_id))"""),
]

# what there was of workflows in a round
COUNTS = """
SELECT count(*), (SELECT count(*) FROM torture.flow_effect), (SELECT count(*) FROM torture.flow_undone),
	(SELECT count(*) FROM torture.flow_effect WHERE kind = 'timeout'),
	count(*) FILTER (WHERE status = 'cancelled'), (SELECT count(*) FROM (""" + MET + """) m WHERE m.events > 0)
FROM event_engine.workflow_instances
"""

RESUME = """
SELECT event_engine.resume_workflow(i.id) FROM event_engine.workflow_instances i
WHERE i.status = 'failed' AND i.workflow ~ '^breaks' OR i.status = 'compensating'
"""

FORGET = """
SELECT event_engine.cancel_workflow(id) FROM event_engine.workflow_instances WHERE finished_at IS NULL;
SELECT event_engine.delete_workflows(clock_timestamp(), max_instances => 1000000);
TRUNCATE torture.flow_effect, torture.flow_undone, torture.flow_started, torture.flow_cancelled,
	torture.flow_order, torture.flow_wait, torture.flow_meet;
"""
