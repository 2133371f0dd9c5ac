# An executor ends when it is idle and comes back when it is wanted; what
# keeps it from coming up delays delivery and never loses it.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib";

use EventEngine;
use Test::More;

my $node = new_server('main', conf => <<'CONF');
event_engine.worker_idle_timeout = 200ms
event_engine.delivery_poll_interval = 1h
max_prepared_transactions = 2
CONF

my $no_executor = <<'SQL';
SELECT count(*) = 0 FROM pg_stat_activity
WHERE backend_type = 'event_engine executor'
SQL

new_database($node, 'shop');
$node->safe_psql('shop', <<'SQL');
CREATE ROLE clerk LOGIN;
CALL event_engine.grant_duty('subscriber', 'clerk');
CREATE SCHEMA AUTHORIZATION clerk;
SET ROLE clerk;
CREATE TABLE clerk.seen (n integer);
CREATE FUNCTION clerk.note(e event_engine.event) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
	INSERT INTO clerk.seen VALUES (((e).payload ->> 'n')::integer);
	IF (e).payload ? 'fail' THEN
		RAISE 'this one fails';
	END IF;
END $$;
RESET ROLE;
SELECT event_engine.register_event_definition('order.placed');
SET ROLE clerk;
SELECT event_engine.subscribe('clerk', '{order.placed}', 'clerk.note',
	options => '{"max_attempts": 1}');
SQL

sub publish
{
	my ($payload) = @_;
	$node->safe_psql('shop',
		"SELECT event_engine.publish_event('order.placed', '$payload')");
	return;
}

# The lock of a role goes with its executor, so the next one gets it.
for my $n (1 .. 3)
{
	publish(qq({"n": $n}));
	wait_until($node, 'shop', "SELECT count(*) = $n FROM clerk.seen",
		"event $n is delivered by executor $n");
	wait_until($node, 'shop', $no_executor, "executor $n ends when idle");
}
is( $node->safe_psql('shop',
		"SELECT count(*) FROM pg_locks WHERE locktype = 'object' AND objsubid > 0"),
	'0', 'no executor leaves a lock behind');

# A prepared transaction is told of when it commits, not when it is polled for.
$node->safe_psql('shop', <<'SQL');
BEGIN;
SELECT event_engine.publish_event('order.placed', '{"n": 4}');
PREPARE TRANSACTION 'order';
SQL
$node->safe_psql('shop', "COMMIT PREPARED 'order'");
wait_until($node, 'shop', 'SELECT count(*) = 4 FROM clerk.seen',
	'a prepared transaction is delivered');

# The lock survives a handler that fails.
publish('{"n": 5, "fail": true}');
wait_until($node, 'shop',
	'SELECT count(*) = 1 FROM event_engine.event_dead_letters',
	'what fails becomes a dead letter');
$node->safe_psql('postgres',
	"ALTER SYSTEM SET event_engine.worker_idle_timeout = '1h'");
$node->reload;
publish('{"n": 6}');
wait_until($node, 'shop', 'SELECT count(*) = 5 FROM clerk.seen',
	'the next one is delivered');
publish('{"n": 7, "fail": true}');
wait_until($node, 'shop',
	'SELECT count(*) = 2 FROM event_engine.event_dead_letters',
	'another dead letter');
is( $node->safe_psql('shop', <<'SQL'), '1', 'the executor holds its role after a failure');
SELECT count(*) FROM pg_locks l JOIN pg_stat_activity a USING (pid)
WHERE l.locktype = 'object' AND l.objsubid > 0
	AND a.backend_type = 'event_engine executor'
SQL

# A role that may not log in cannot have an executor, which is said where it is
# looked for, and lasts until a person says that it is mended.
# (From 17 on that takes no permission to log in.)
if ($node->pg_version < 17)
{
	$node->safe_psql('shop', <<'SQL');
ALTER ROLE clerk NOLOGIN;
SELECT pg_terminate_backend(pid) FROM pg_stat_activity
WHERE backend_type = 'event_engine executor';
SQL
	wait_until($node, 'shop', $no_executor, 'the executor is ended');
	publish('{"n": 8}');
	wait_until($node, 'shop', "SELECT status = 'broken' AND status_reason ~ 'may not log in' FROM event_engine.subscriptions",
		'no executor comes up');
	$node->safe_psql('shop', "ALTER ROLE clerk LOGIN; SELECT event_engine.resume_subscription('clerk')");
	wait_until($node, 'shop', 'SELECT count(*) = 6 FROM clerk.seen',
		'what was published meanwhile is delivered');
}

done_testing();
