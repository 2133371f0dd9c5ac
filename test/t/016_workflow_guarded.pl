# Executors that found no trace of their predecessors count an attempt before
# they make it, so a step is held between the event and its handler.  In that
# mode, and over two lanes of which one is locked by somebody, events, time-outs
# and cancellations compete as ever: what can be seen wins over the clock, once.
use strict;
use warnings;

use EventEngine;
use Test::More;

my $node = new_server('guarded', conf => <<'CONF');
event_engine.delivery_enabled = off
event_engine.worker_executors_per_role = 2
CONF
new_database($node, 'shop');

$node->safe_psql('shop', <<'SQL');
SELECT event_engine.register_event_definition('go');
CREATE TABLE took (name text, kind text, payload jsonb, attempt integer, counted integer);
CREATE FUNCTION take_step(i event_engine.workflow_instance, r event_engine.workflow_resumption)
	RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN
	IF i.step = 'start' THEN
		RETURN event_engine.wait_for('go', '$.payload.to == $workflow.correlationKey',
			timeout => '1 day', next_step => 'resumed');
	END IF;
	IF i.correlation_key = 'fails' AND r.attempt < 3 THEN
		RAISE 'it fails twice';
	END IF;
	INSERT INTO public.took SELECT i.correlation_key, r.kind, (r.event).payload -> 'n', r.attempt, o.attempts
		FROM event_engine.workflow_instances AS o WHERE o.id = i.id;
	RETURN event_engine.complete();
END $$;
SELECT event_engine.register_workflow('race', 'take_step', options => '{"backoff_ms": 1}');
SELECT event_engine.update_subscription(subscriber, options => '{"concurrency": 2}') FROM event_engine.subscriptions;
SELECT event_engine.process_batch();
-- an instance of a lane, and an event of one
CREATE PROCEDURE start(name text, lane integer) LANGUAGE plpgsql AS $$
DECLARE
	started uuid;
BEGIN
	LOOP
		started := event_engine.start_workflow('race', correlation_key => name);
		EXIT WHEN (uuid_hash(started) & 1) = lane;
		DELETE FROM event_engine.workflow_instances WHERE id = started;
	END LOOP;
END $$;
CREATE FUNCTION publish(name text, lane integer, n integer DEFAULT 1) RETURNS uuid LANGUAGE sql AS $$
	SELECT event_engine.publish_event('go', jsonb_build_object('to', name, 'n', n),
		partition_key => (SELECT k::text FROM generate_series(1, 100) AS k
			WHERE (hashtext(k::text)::bigint & 1) = lane ORDER BY k LIMIT 1)) $$;
CALL start('decoy', 0);
CALL start('marker', 0);
CALL start('event', 1);
CALL start('timeout', 1);
CALL start('open', 1);
CALL start('undone', 1);
CALL start('cancelled', 1);
CALL start('fails', 1);
CALL start('locked', 1);
CALL start('both', 1);
SQL
is($node->safe_psql('shop', 'SELECT event_engine.process_batch()'), 10, 'all wait');
is($node->safe_psql('shop', 'SELECT event_engine.process_batch()'), 0, 'and their pattern is read');

# somebody has lane 0, by a step that is taken there
$node->safe_psql('shop', q{SELECT publish('decoy', 0)});
my $holder = $node->background_psql('shop');
is($holder->query_safe('BEGIN; SELECT event_engine.process_batch(1)'), '1', 'lane 0 is locked');

# whose events are there to be seen, but for one that is not committed yet
$node->safe_psql('shop', q{SELECT publish(name, 0) FROM unnest('{event,cancelled,fails}'::text[]) AS name});
$node->safe_psql('shop', q{SELECT publish('both', 0); SELECT publish('both', 1, 2)});
$node->safe_psql('shop', q{BEGIN; SAVEPOINT s; SELECT publish('undone', 0); ROLLBACK TO SAVEPOINT s; COMMIT});
my $publisher = $node->background_psql('shop');
$publisher->query_safe(q{BEGIN; SELECT publish('open', 0)});
$node->safe_psql('shop', q{SELECT event_engine.cancel_workflow(id) FROM event_engine.workflow_instances WHERE correlation_key = 'cancelled'});
# and one has an event in the lane that is read, which is postponed
my $locker = $node->background_psql('shop');
$locker->query_safe(q{BEGIN; SELECT event_engine.set_workflow_state(id, '{}') FROM event_engine.workflow_instances WHERE correlation_key = 'locked'});
$node->safe_psql('shop', q{SELECT publish('locked', 1)});
$node->safe_psql('shop', q{UPDATE event_engine.workflow_waits AS w SET timeout_at = clock_timestamp()
	FROM event_engine.workflow_instances AS i WHERE i.id = w.instance_id AND i.correlation_key NOT IN ('decoy', 'marker')});

$node->safe_psql('shop', 'INSERT INTO event_engine.executor_starts (owner, member, starts) VALUES (10, 0, 1), (10, 1, 1)');
$node->append_conf('postgresql.conf', 'event_engine.delivery_enabled = on');
$node->reload;
my $kinds = q{SELECT string_agg(concat_ws(' ', name, kind, payload, attempt), ', ' ORDER BY name) FROM took WHERE name <> 'decoy'};
my $first = 'both event 2 1, event event 1 1, fails event 1 3, open timeout 1, timeout timeout 1, undone timeout 1';
wait_until($node, 'shop', "SELECT ($kinds) LIKE '%fails%' AND (SELECT count(*) = 6 FROM took)", 'the other lane goes on');
is($node->safe_psql('shop', $kinds), $first, 'what can be seen has won over the clock');
is($node->safe_psql('shop', q{SELECT count(*) FROM took WHERE counted IS DISTINCT FROM attempt}), '0',
	'each attempt was counted before it was made');
wait_until($node, 'shop', 'SELECT count(*) = 1 FROM event_engine.workflow_postponed', 'an instance is locked');
$locker->query_safe('COMMIT');
wait_until($node, 'shop', q{SELECT EXISTS (SELECT FROM took WHERE name = 'locked')}, '... until it is not');
is($node->safe_psql('shop', q{SELECT kind FROM took WHERE name = 'locked'}), 'event', 'what was postponed has won as well');

# then lane 0 comes to the same events
$publisher->query_safe('COMMIT');
$node->safe_psql('shop', q{SELECT publish('marker', 0)});
$holder->query_safe('COMMIT');
wait_until($node, 'shop', q{SELECT EXISTS (SELECT FROM took WHERE name = 'marker')}, 'lane 0 has read all');
is($node->safe_psql('shop', q{SELECT string_agg(name || ' ' || kind || ' ' || n, ', ' ORDER BY name) FROM (
	SELECT name, kind, count(*) AS n FROM took GROUP BY 1, 2) AS t}),
	'both event 1, decoy event 1, event event 1, fails event 1, locked event 1, marker event 1, open timeout 1, timeout timeout 1, undone timeout 1',
	'and nothing was resumed twice');
is($node->safe_psql('shop', q{SELECT string_agg(DISTINCT status::text, ' ') FROM event_engine.workflow_instances WHERE correlation_key = 'cancelled'}),
	'cancelled', 'nor who was cancelled');
is($node->safe_psql('shop', 'SELECT count(*) FROM event_engine.workflow_waits'), '0', 'no wait is left');
$_->quit foreach $holder, $publisher, $locker;
$node->stop;
done_testing();
