# Events and waits meet at random, from several sessions and in several lanes,
# while executors are ended and the server crashes: no event is missed that a
# wait could not see when it was registered, and none resumes a workflow twice.
use strict;
use warnings;

use EventEngine;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = new_server('main', conf => <<'CONF');
event_engine.worker_idle_timeout = 600s
event_engine.worker_executors_per_role = 3
event_engine.delivery_batch_time = 20ms
max_worker_processes = 20
CONF
new_database($node, 'shop');

# chain	asks in each step for an event since its start: any of its key, that
#		has not resumed it yet.  Whoever misses one is stuck for ever.
# meet	is resumed by what its wait, registered from outside, could not see.
# tick	sleeps, and sleeps, and competes with its deadline.
$node->safe_psql('shop', <<'SQL');
SELECT event_engine.register_event_definition('hop');
SELECT event_engine.register_event_definition('meet.event');
CREATE TABLE took (instance uuid, workflow text, n integer, seq bigint, pid integer DEFAULT pg_backend_pid());
CREATE FUNCTION chain(i event_engine.workflow_instance, r event_engine.workflow_resumption)
	RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
	n CONSTANT integer := COALESCE((i.state ->> 'n')::integer, 0);
BEGIN
	IF r.kind = 'event' THEN
		INSERT INTO took VALUES (i.id, 'chain', n, (r.event).seq);
		IF n = 5 THEN
			RETURN event_engine.complete();
		END IF;
	END IF;
	-- now and then a step fails, and is taken again
	IF random() < 0.005 THEN
		RAISE 'one in two hundred';
	END IF;
	RETURN event_engine.wait_for('hop', '$.payload.key == $workflow.input.key',
		since => i.created_at, next_step => 'hop', state => jsonb_build_object('n', n + 1));
END $$;
CREATE FUNCTION meet(i event_engine.workflow_instance, r event_engine.workflow_resumption)
	RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN
	IF r.kind = 'start' THEN
		RETURN event_engine.sleep_for('1 year', name => 'for ever');
	END IF;
	INSERT INTO took VALUES (i.id, 'meet', 1, (r.event).seq);
	RETURN event_engine.complete();
END $$;
CREATE FUNCTION tick(i event_engine.workflow_instance, r event_engine.workflow_resumption)
	RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
	n CONSTANT integer := COALESCE((i.state ->> 'n')::integer, 0);
BEGIN
	INSERT INTO took VALUES (i.id, 'tick', n, NULL);
	RETURN CASE WHEN n = 3 THEN event_engine.complete()
		ELSE event_engine.sleep_for(random() * interval '20 ms', state => jsonb_build_object('n', n + 1)) END;
END $$;
SELECT event_engine.register_workflow(w, w, options => '{"backoff_ms": 1, "max_attempts": 20}')
	FROM unnest('{chain,meet,tick}'::text[]) AS w;
SELECT event_engine.update_subscription(subscriber, options => '{"concurrency": 3}')
	FROM event_engine.subscriptions;

-- what a registration could see
CREATE TABLE registered (instance uuid, key integer, snapshot pg_snapshot);
CREATE PROCEDURE start_chains(n integer, offset_ integer) LANGUAGE plpgsql AS $$
BEGIN
	FOR i IN 1 .. n LOOP
		PERFORM event_engine.start_workflow('chain', jsonb_build_object('key', offset_ + i));
		PERFORM event_engine.start_workflow('tick') WHERE i % 5 = 0;
		COMMIT;
	END LOOP;
END $$;
CREATE PROCEDURE publish_hops(n integer, offset_ integer) LANGUAGE plpgsql AS $$
DECLARE
	key integer;
BEGIN
	FOR key IN SELECT g FROM generate_series(offset_ + 1, offset_ + n) AS g, generate_series(1, 5)
		ORDER BY g + random() * 20
	LOOP
		-- not before it has begun
		WHILE NOT EXISTS (SELECT FROM event_engine.workflow_instances AS i
				WHERE i.workflow = 'chain' AND i.input = jsonb_build_object('key', key)) LOOP
			PERFORM pg_sleep(0.01);
			COMMIT;
		END LOOP;
		PERFORM event_engine.publish_event('hop', jsonb_build_object('key', key),
			priority => (CASE WHEN random() < 0.05 THEN 'critical' WHEN random() < 0.05 THEN 'low'
				ELSE 'normal' END)::event_engine.event_priority,
			partition_key => CASE WHEN random() < 0.5 THEN key::text END);
		PERFORM pg_sleep(random() * 0.002) WHERE random() < 0.1;
		COMMIT;
	END LOOP;
END $$;
CREATE PROCEDURE meet_waits(n integer, offset_ integer) LANGUAGE plpgsql AS $$
DECLARE
	made uuid;
BEGIN
	FOR k IN offset_ + 1 .. offset_ + n LOOP
		made := event_engine.start_workflow('meet', jsonb_build_object('key', k));
		INSERT INTO registered VALUES (made, k);
		COMMIT;
		WHILE (SELECT i.status <> 'waiting' FROM event_engine.workflow_instances AS i WHERE i.id = made) LOOP
			COMMIT;
		END LOOP;
		PERFORM pg_sleep(random() * 0.002);
		PERFORM event_engine.register_workflow_wait(made, 'meet.event', '$.payload.key == ' || k);
		UPDATE registered AS r SET snapshot = w.snapshot FROM event_engine.workflow_waits AS w
			WHERE r.key = k AND w.instance_id = made AND w.pattern IS NOT NULL;
		PERFORM pg_sleep(random() * 0.002);
		COMMIT;
	END LOOP;
END $$;
CREATE PROCEDURE meet_events(n integer, offset_ integer) LANGUAGE plpgsql AS $$
BEGIN
	FOR k IN offset_ + 1 .. offset_ + n LOOP
		WHILE NOT EXISTS (SELECT FROM registered AS r JOIN event_engine.workflow_instances AS i
				ON i.id = r.instance WHERE r.key = k AND i.status = 'waiting') LOOP
			COMMIT;
		END LOOP;
		FOR j IN 1 .. 3 LOOP
			PERFORM pg_sleep(random() * 0.002);
			PERFORM event_engine.publish_event('meet.event', jsonb_build_object('key', k));
			PERFORM pg_sleep(random() * 0.002);
			COMMIT;
		END LOOP;
	END LOOP;
END $$;
SQL

my $n = $ENV{EE_STRESS_INSTANCES} // 150;
my $busy = q{SELECT count(*) FROM pg_stat_activity WHERE state = 'active' AND query LIKE 'CALL %'};
my @sessions = map
{
	my $session = $node->background_psql('shop');
	$session->query_until(qr/begun/, "\\echo begun\nCALL $_;\n");
	$session
} ("start_chains($n, 0)", "start_chains($n, 10000)", "publish_hops($n, 0)", "publish_hops($n, 10000)",
	"meet_waits($n, 0)", "meet_events($n, 0)");
my $ended = 0;
while ($node->safe_psql('shop', $busy) > 0)
{
	my $share = $ended > 0 ? 0.3 : 1;
	$ended += $node->safe_psql('shop', qq{SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
		WHERE backend_type = 'event_engine executor' AND random() < $share});
	$node->safe_psql('shop', q{SELECT event_engine.process_batch(20)});
	$node->safe_psql('shop', q{SELECT pg_sleep(0.2)});
}
$_->quit foreach @sessions;
cmp_ok($ended, '>', 0, "executors were ended: $ended");
# in the middle of what is left
$node->stop('immediate');
$node->start;

wait_until($node, 'shop', q{SELECT count(*) = 0 FROM event_engine.workflow_instances
	WHERE workflow IN ('chain', 'tick') AND status <> 'completed'}, 'each chain has found its events');
is($node->safe_psql('shop', q{SELECT count(*), count(DISTINCT (instance, n)), count(DISTINCT seq) FROM took WHERE workflow = 'chain'}),
	join('|', (10 * $n) x 3), '... each of them once');
is($node->safe_psql('shop', q{SELECT count(*) = count(DISTINCT (instance, n)) FROM took WHERE workflow = 'tick'}), 't',
	'no sleep has ended twice');
wait_until($node, 'shop', q{SELECT event_engine.process_batch() = 0}, 'nothing is left to be done');
is($node->safe_psql('shop', q{SELECT count(*) FROM registered AS r WHERE
	(SELECT count(*) FROM took AS t WHERE t.instance = r.instance) <>
	(SELECT count(*) FROM (SELECT FROM event_engine.events AS e WHERE e.pattern = 'meet.event'
		AND e.payload -> 'key' = to_jsonb(r.key) AND NOT pg_visible_in_snapshot(e.xid, r.snapshot) LIMIT 1) AS x)}),
	'0', 'a wait is ended by an event that it could not see, if there is one');
is($node->safe_psql('shop', q{SELECT count(*) FROM took AS t JOIN registered AS r ON r.instance = t.instance
	JOIN event_engine.events AS e ON e.seq = t.seq WHERE pg_visible_in_snapshot(e.xid, r.snapshot)}),
	'0', '... and by no other');
note($node->safe_psql('shop', q{SELECT count(*) FILTER (WHERE t.seq IS NULL) || ' of ' || count(*) || ' saw all of their events'
	FROM registered AS r LEFT JOIN took AS t ON t.instance = r.instance}));
is($node->safe_psql('shop', q{SELECT count(*) FROM (SELECT FROM event_engine.workflow_steps WHERE result <> 'retry'
	GROUP BY instance_id, step_number HAVING count(*) > 1) AS s}), '0', 'no step was taken twice');
is($node->safe_psql('shop', q{SELECT count(*) FROM (SELECT FROM event_engine.workflow_steps WHERE result <> 'retry' AND event_id IS NOT NULL
	GROUP BY instance_id, event_id HAVING count(*) > 1) AS s}), '0', 'and none because of the same event');

$node->stop;
done_testing();
