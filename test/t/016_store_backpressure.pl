# Publishers heed how much is waiting: they are delayed where the queue is
# long and refused where it is full, critical events excepted, and as soon as
# the subscription has got on they are not.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../lib";
use EventEngine;
use Test::More;

my $node = new_server('main', conf => <<'CONF');
event_engine.store_max_queue_depth = 100
event_engine.store_high_watermark = 50
event_engine.store_backpressure = refuse
CONF
new_database($node, 'shop');
$node->safe_psql('shop', <<'SQL');
SELECT event_engine.register_event_definition(p) FROM unnest('{busy.test,rare.test}'::text[]) AS p;
CREATE TABLE valve (open boolean);
INSERT INTO valve VALUES (false);
CREATE TABLE done (n integer);
CREATE FUNCTION take(e event_engine.event) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
	IF NOT (SELECT v.open FROM valve AS v) THEN PERFORM pg_sleep(0.01); RAISE 'closed'; END IF;
	INSERT INTO done VALUES (1);
END $$;
CREATE FUNCTION rare(e event_engine.event) RETURNS void LANGUAGE sql AS '';
SELECT event_engine.subscribe('rare', '{rare.test}', 'rare');
CREATE FUNCTION publish(lower integer, upper integer) RETURNS bigint LANGUAGE sql AS $$
	SELECT count(event_engine.publish_event('busy.test', jsonb_build_object('n', i)))
	FROM generate_series($1, $2) AS i
$$;
SQL

sub query { return $node->safe_psql('shop', $_[0]); }

# Many events that the only subscription does not want are no queue.
query('SELECT publish(1, 300)');
wait_until($node, 'shop',
	q{SELECT event_engine.publish_event('rare.test', '{}') IS NOT NULL
		AND (SELECT delivered > 3 FROM event_engine.stat_subscriptions WHERE subscriber = 'rare')},
	'a subscription to rare events is delivered to');
is(query('SELECT pressure FROM event_engine.queue_pressure()'),
	'none', 'events that nobody waits for are no queue');

# A subscription that does not get on: its breaker is open.
my $offset = -s $node->logfile;
query(q{SELECT event_engine.subscribe('busy', '{busy.test}', 'take',
	options => '{"circuitBreaker": {"threshold": 1, "recoveryMs": 3600000}}')});
query('SELECT publish(1, 5)');
wait_until($node, 'shop',
	q{SELECT breaker = 'open' FROM event_engine.stat_subscriptions WHERE subscriber = 'busy'},
	'a subscription does not get on');
query('SELECT publish(1, 80)');
wait_until($node, 'shop',
	q{SELECT pressure = 'high' AND depth BETWEEN 50 AND 99 FROM event_engine.queue_pressure()},
	'the queue is long');
wait_for_log_line($node, qr/the queue is long.*wait for subscription "busy"/s,
	$offset, 'the log says so');
like(query('SELECT event_engine.health()'), qr/The queue is long/,
	'and so does health()');
query('SELECT publish(1, 40)');
wait_until($node, 'shop',
	q{SELECT pressure = 'full' FROM event_engine.queue_pressure()},
	'the queue is full');
my ($rc, $out, $err) = $node->psql('shop', '\set VERBOSITY verbose
SELECT publish(1, 1)');
like($err, qr/VE208: +the queue is full/, 'an event is refused');
like($err, qr/HINT: .*stat_subscriptions/, 'with a hint');
is( query(q{SELECT event_engine.publish_event('rare.test', '{}', priority => 'critical') IS NOT NULL}),
	't', 'a critical one is not');
is( query(q{SET event_engine.store_backpressure = off; SELECT publish(1, 1)}),
	'1', 'nor is one of who is exempt');
like(query(<<'SQL'), qr/^t$/m, 'who is to be delayed waits');
SET event_engine.store_backpressure = delay;
CREATE TEMP TABLE clock (began timestamptz);
-- whatever else its process is told meanwhile
DO $$ BEGIN
	INSERT INTO clock VALUES (clock_timestamp());
	PERFORM pg_log_backend_memory_contexts(pg_backend_pid());
	PERFORM publish(1, 1);
END $$;
SELECT clock_timestamp() - began >= '990 milliseconds' FROM clock;
SQL

# It gets on again.
query('UPDATE valve SET open = true');
query(q{SELECT event_engine.resume_subscription('busy')});
wait_until($node, 'shop',
	q{SELECT pressure = 'none' FROM event_engine.queue_pressure()},
	'the queue is short again');
wait_for_log_line($node, qr/the queue is short again/, $offset,
	'the log says that, too');
is(query('SELECT publish(1, 1)'), '1', 'everybody may publish');

# A subscription that does not count.
query('UPDATE valve SET open = false');
query(q{SELECT event_engine.update_subscription('busy', options => '{"backpressure": false}')});
query('SELECT publish(1, 300)');
wait_until($node, 'shop',
	q{SELECT breaker = 'open' AND lag > 100 FROM event_engine.stat_subscriptions WHERE subscriber = 'busy'},
	'it is far behind');
query(q{SELECT event_engine.subscribe('puller', '{busy.test}')});
query('SELECT publish(1, 60)');
wait_until($node, 'shop',
	q{SELECT pressure = 'high' AND depth < 100 FROM event_engine.queue_pressure()},
	'and one of a client does');
query(q{SELECT event_engine.pause_subscription('puller')});
wait_until($node, 'shop',
	q{SELECT pressure = 'none' FROM event_engine.queue_pressure()},
	'unless it is paused');
$node->restart;
query(q{SELECT event_engine.resume_subscription('puller')});
wait_until($node, 'shop',
	q{SELECT pressure = 'high' AND depth < 100 FROM event_engine.queue_pressure()},
	'a restart does not forget what waits');

$node->stop;
done_testing();
