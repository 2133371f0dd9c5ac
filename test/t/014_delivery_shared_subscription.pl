# What processes know together of a subscription: it is found by all of them,
# goes with its subscription, its extension and its database, and does without
# where there is no room.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../lib";
use EventEngine;
use Test::More;

my $node = new_server('main',
	conf => "event_engine.delivery_shared_subscriptions = 2");

sub prepare
{
	my ($database) = @_;
	new_database($node, $database);
	$node->safe_psql($database, <<'SQL');
SELECT event_engine.register_event_definition('shared.test');
CREATE FUNCTION public.take(e event_engine.event) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
	IF e.payload ? 'bad' THEN RAISE 'bad'; END IF;
END $$;
CREATE VIEW public.counted AS
	SELECT s.subscriber, c.delivered, c.failed
	FROM event_engine.subscriptions AS s,
		event_engine.subscription_counters(s.number, s.id) AS c;
SQL
	return;
}

sub subscribe
{
	my ($database, $name) = @_;
	$node->safe_psql($database,
		"SELECT event_engine.subscribe('$name', '{shared.test}', 'take', options => '{\"max_attempts\": 1}')"
	);
	return;
}

sub publish
{
	my ($database, $payload) = @_;
	$node->safe_psql($database,
		"SELECT event_engine.publish_event('shared.test', '$payload')");
	return;
}

sub counted
{
	my ($database, $name, $delivered, $failed, $what) = @_;
	return wait_until($node, $database,
		"SELECT (delivered, failed) = ($delivered, $failed) FROM counted WHERE subscriber = '$name'",
		$what);
}

# A worker counts, and sessions see it.
prepare('one');
subscribe('one', 'a');
publish('one', '{}') for 1 .. 3;
publish('one', '{"bad": true}');
counted('one', 'a', 3, 1, 'sessions see what a worker has counted');

# A session counts in the same place.
$node->safe_psql('postgres',
	"ALTER SYSTEM SET event_engine.delivery_enabled = off");
$node->reload;
publish('one', '{}');
ok( $node->poll_query_until(
		'one', "SELECT event_engine.process_batch() >= 0 AND delivered = 4 FROM counted"),
	'and what process_batch has counted');
$node->safe_psql('postgres', "ALTER SYSTEM RESET event_engine.delivery_enabled");
$node->reload;

# No room for a third: it is delivered to all the same.
my $offset = -s $node->logfile;
subscribe('one', 'b');
publish('one', '{}');
counted('one', 'b', 1, 0, 'there is room for two');
subscribe('one', 'c');
publish('one', '{}');
wait_until($node, 'one',
	"SELECT delivered = 1 FROM event_engine.stat_subscriptions WHERE subscriber = 'c'",
	'one without a place is delivered to');
wait_for_log_line($node, qr/all 2 entries for subscriptions .* are taken/,
	$offset, 'the log says that there is no room');
is( $node->safe_psql('one', "SELECT delivered FROM counted WHERE subscriber = 'c'"),
	'', 'and nothing is known of it');

# Whoever leaves makes room.
$node->safe_psql('one', "SELECT event_engine.unsubscribe('b')");
wait_until($node, 'one', <<'SQL', 'room is made by who leaves');
SELECT event_engine.publish_event('shared.test', '{}') IS NOT NULL
	AND EXISTS (SELECT FROM counted WHERE subscriber = 'c' AND delivered > 0)
SQL

# A number that comes again is another subscription.
$node->safe_psql('one', 'DROP EXTENSION event_engine CASCADE');
$node->safe_psql('one', 'DROP FUNCTION IF EXISTS public.take');
$node->safe_psql('one', 'CREATE EXTENSION event_engine');
$node->safe_psql('one', <<'SQL');
SELECT event_engine.register_event_definition('shared.test');
CREATE FUNCTION public.take(e event_engine.event) RETURNS void LANGUAGE sql AS '';
CREATE VIEW public.counted AS
	SELECT s.subscriber, c.delivered, c.failed
	FROM event_engine.subscriptions AS s,
		event_engine.subscription_counters(s.number, s.id) AS c;
SQL
subscribe('one', 'a');
publish('one', '{}');
counted('one', 'a', 1, 0, 'a number that comes again counts from nothing');

# A database that goes makes room, too.
$node->safe_psql('postgres', 'DROP DATABASE one');
prepare('two');
subscribe('two', 'a');
subscribe('two', 'b');
publish('two', '{}');
counted('two', 'a', 1, 0, 'a dropped database makes room');
counted('two', 'b', 1, 0, 'for all that it had');

$node->stop;
done_testing();
