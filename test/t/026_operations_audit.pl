# What is denied, and what befalls the engine, is published by the router; a
# restore publishes nothing; and what is done in a handler is its owner's.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib";

use EventEngine;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = new_server('main', conf => <<"CONF");
event_engine.delivery_poll_interval = 100
CONF

new_database($node, 'shop');
new_database($node, 'other');
$node->safe_psql('shop', <<'SQL');
CALL event_engine.enable_audit();
SELECT event_engine.register_event_definition(p) FROM unnest('{one,two}'::text[]) AS p;
CREATE ROLE app LOGIN;
CREATE SCHEMA app AUTHORIZATION app;
CALL event_engine.grant_duty('subscriber', 'app');
SELECT event_engine.subscribe('mine', '{one}');
SQL

# Such an event comes.
sub wait_for_event
{
	my ($pattern, $condition, $what) = @_;

	return wait_until($node, 'shop',
		"SELECT EXISTS (SELECT FROM event_engine.events AS e WHERE e.pattern = '$pattern' AND $condition)", $what);
}
sub denied
{
	my ($role, $sql) = @_;
	my ($rc, $out, $err) = $node->psql('shop', $sql, extra_params => [ '-U', $role ]);

	isnt($rc, 0, "refused: $sql");
	return $err;
}

# By the server's checks and by ours; nothing of the statement is kept.
denied('app', q(SELECT event_engine.publish_event('one', '{"secret": 17}')));
wait_for_event('system.access.denied', q(e.payload ->> 'message' ~ 'publish_event' AND e.payload #>> '{by,role}' = 'app'), 'a function');
denied('app', q(SELECT * FROM event_engine.events));
wait_for_event('system.access.denied', q(e.payload ->> 'message' ~ 'table events'), 'a table');
denied('app', q(SELECT event_engine.unsubscribe('mine')));
wait_for_event('system.access.denied', q(e.payload ->> 'message' ~ 'must be owner of subscription "mine"'), 'a subscription of somebody else');
is($node->safe_psql('shop', q(SELECT count(*) FROM event_engine.events WHERE pattern = 'system.access.denied' AND payload::text ~ 'secret')),
	'0', 'no word of the statement');
is($node->safe_psql('shop', q(SELECT DISTINCT payload #>> '{by,sessionUser}', payload #>> '{by,application}' FROM event_engine.events
	WHERE pattern = 'system.access.denied')), 'app|026_operations_audit.pl', 'who it was');
# a denial that does not concern us
denied('app', q(SELECT pg_read_file('PG_VERSION')));
# many are counted, and none waits
$node->psql('shop', join(';', map { 'SELECT * FROM event_engine.event_keys' } 1 .. 300), extra_params => [ '-U', 'app' ], on_error_stop => 0);
wait_until($node, 'shop', q(SELECT sum((payload -> 'count')::int) = 300 FROM event_engine.events
	WHERE pattern = 'system.access.denied' AND payload ->> 'message' ~ 'event_keys'), 'a flood is counted');
is($node->safe_psql('shop', q(SELECT count(*) FROM event_engine.events WHERE pattern = 'system.access.denied' AND payload ->> 'message' ~ 'file')),
	'0', 'what is no matter of ours');
is($node->safe_psql('other', 'SELECT count(*) FROM event_engine.events'), '0', 'another database hears nothing');

# A handler changes what is configured, in the session of a superuser.
$node->safe_psql('shop', <<'SQL');
SET ROLE app;
CREATE FUNCTION app.configure(e event_engine.event) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
	PERFORM event_engine.subscribe(e.payload ->> 'name', '{two}');
	BEGIN
		PERFORM event_engine.unsubscribe('mine');
	EXCEPTION WHEN insufficient_privilege THEN NULL;
	END;
END $$;
SELECT event_engine.subscribe('at_once', '{two}', 'app.configure', options => '{"immediate": true}');
RESET ROLE;
SELECT event_engine.publish_event('two', '{"name": "made"}');
SELECT event_engine.subscribe('after', '{one}');
SQL
is($node->safe_psql('shop', q(SELECT payload #>> '{object,name}', payload #>> '{by,role}', payload #>> '{by,sessionUser}' = session_user, metadata ? 'causationId'
	FROM event_engine.events WHERE pattern = 'system.config.changed' AND payload #>> '{object,name}' IN ('made', 'after') ORDER BY seq)),
	"made|app|t|t\nafter|postgres|t|f", 'by its owner, because of the event');

# The engine: a circuit breaker, a worker, a subscription, the queue, a start.
$node->safe_psql('shop', <<'SQL');
CREATE TABLE weather (bad boolean);
INSERT INTO weather VALUES (true);
CREATE FUNCTION brittle(e event_engine.event) RETURNS void LANGUAGE plpgsql AS $$
BEGIN IF (SELECT bad FROM weather) THEN RAISE 'bad weather'; END IF; END $$;
SELECT event_engine.subscribe('brittle', '{one}', 'brittle',
	options => '{"circuitBreaker": {"threshold": 3, "recoveryMs": 100}, "max_attempts": 100, "backoff_ms": 10, "backoff_factor": 1}');
SELECT event_engine.publish_event('one', '{}') FROM generate_series(1, 10);
SQL
wait_for_event('system.circuit.opened', q(e.payload ->> 'subscriber' = 'brittle'), 'a circuit breaker opens');
$node->safe_psql('shop', 'UPDATE weather SET bad = false');
wait_for_event('system.circuit.closed', q(e.payload ->> 'subscriber' = 'brittle'), 'and closes');
$node->safe_psql('shop', q(DROP FUNCTION brittle; SELECT event_engine.publish_event('one', '{}')));
wait_for_event('system.subscription.broken', q(e.payload ->> 'subscriber' = 'brittle'), 'a subscription is broken');
$node->safe_psql('shop', <<'SQL');
SELECT event_engine.unsubscribe('brittle');
CREATE FUNCTION suicide(e event_engine.event) RETURNS void LANGUAGE plpgsql AS $$
BEGIN PERFORM pg_terminate_backend(pg_backend_pid()); PERFORM pg_sleep(60); END $$;
SELECT event_engine.subscribe('suicide', '{two}', 'suicide', options => '{"max_attempts": 1}');
SELECT event_engine.publish_event('two', '{"name": "x"}');
SQL
wait_for_event('system.worker.failed', q(e.payload ->> 'role' = 'postgres' AND (e.payload -> 'count')::int >= 1), 'a worker ends');
$node->safe_psql('shop', q(SELECT event_engine.unsubscribe('suicide')));
$node->append_conf('postgresql.conf', "event_engine.store_high_watermark = 5\nevent_engine.store_max_queue_depth = 0");
$node->reload;
$node->safe_psql('shop', q(SELECT event_engine.publish_event('one', '{}') FROM generate_series(1, 20)));
wait_for_event('system.queue.high', q(e.payload ->> 'subscriber' IN ('mine', 'after') AND (e.payload -> 'depth')::int >= 5), 'the queue is long');
$node->safe_psql('shop', q(SELECT event_engine.seek_subscription(s, 'now') FROM unnest('{mine,after,made}'::text[]) AS s));
wait_for_event('system.queue.normal', 'true', 'and short again');
my $starts = $node->safe_psql('shop', q(SELECT count(*) FROM event_engine.events WHERE pattern = 'system.service.started'));
my $router = $node->safe_psql('shop', q(SELECT pid FROM event_engine.stat_workers WHERE kind = 'router' AND database = 'shop'));
$node->restart;
wait_until($node, 'shop', qq(SELECT count(*) > $starts FROM event_engine.events WHERE pattern = 'system.service.started'), 'the service starts');
my $stops = q(SELECT e.payload ->> 'pid' FROM event_engine.events AS e WHERE e.pattern = 'system.service.stopped' ORDER BY e.seq DESC LIMIT 1);
is($node->safe_psql('shop', $stops), $router, 'and had been stopped before');
$starts = $node->safe_psql('shop', q(SELECT count(*) FROM event_engine.events WHERE pattern = 'system.service.started'));
$node->stop('immediate');
$node->start;
wait_until($node, 'shop', qq(SELECT count(*) > $starts FROM event_engine.events WHERE pattern = 'system.service.started'), 'it starts after a crash');
is($node->safe_psql('shop', $stops), $router, 'which nobody could tell of');

# A restore brings what is configured, and tells of none of it.
my $dump = PostgreSQL::Test::Utils::tempdir . '/dump.sql';
$node->command_ok([ 'pg_dump', '-f', $dump, 'shop' ], 'a dump');
$node->safe_psql('postgres', 'CREATE DATABASE restored');
$node->append_conf('postgresql.conf', 'event_engine.delivery_enabled = off');
$node->reload;
$node->command_ok([ 'psql', '-X', '-q', '-v', 'ON_ERROR_STOP=1', '-d', 'restored', '-f', $dump ], 'and its restore');
is($node->safe_psql('restored', q(SELECT count(*) FROM event_engine.events)), $node->safe_psql('shop', q(SELECT count(*) FROM event_engine.events)),
	'as many events as before');
$node->safe_psql('restored', q(SELECT event_engine.pause_subscription('mine')));
is($node->safe_psql('restored', q(SELECT payload #>> '{object,name}', payload -> 'changed' FROM event_engine.events WHERE pattern = 'system.config.changed'
	ORDER BY seq DESC LIMIT 1)), 'mine|["status"]', 'and goes on telling');
$node->stop;
done_testing();
