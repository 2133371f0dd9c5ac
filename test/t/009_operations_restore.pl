# A dump is restored in a new cluster, whose transaction ids are lower, and
# again in one whose are higher: nothing unconsumed is lost, what was consumed
# is not repeated, and new events flow.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib";

use EventEngine;
use PostgreSQL::Test::Utils;
use Test::More;

my $CONF = <<'CONF';
event_engine.delivery_poll_interval = 200ms
log_statement = none
max_prepared_transactions = 10
CONF
my $dumps = PostgreSQL::Test::Utils::tempdir();
my $source = new_server('source', conf => $CONF);

new_database($source, 'shop');
$source->safe_psql('postgres', 'CREATE ROLE owner LOGIN');
$source->safe_psql('shop', <<'SQL');
SELECT event_engine.register_schema('https://example.com/amount.json', '{"type": "number", "minimum": 0}');
SELECT event_engine.register_event_definition('restore.event',
	'{"properties": {"amount": {"$ref": "https://example.com/amount.json"}}}', examples => '[{"amount": 1}]');
CREATE TABLE seen (subscriber text, i int, PRIMARY KEY (subscriber, i));
GRANT INSERT ON seen TO owner;
CREATE FUNCTION see(e event_engine.event) RETURNS void LANGUAGE plpgsql AS $$ BEGIN
	INSERT INTO public.seen VALUES ('see', (e.payload ->> 'i')::int);
	IF e.payload ? 'fails' THEN RAISE 'as it should'; END IF;
END $$;
CREATE FUNCTION see_all(e event_engine.event[]) RETURNS void LANGUAGE sql AS
	$$ INSERT INTO public.seen SELECT 'all', (u.payload ->> 'i')::int FROM unnest(e) u $$;
SELECT event_engine.subscribe('see', '{restore.event}', 'see', options => '{"max_attempts": 9, "backoff_ms": 3600000}');
CREATE TABLE publishing (i int, amount int);
CREATE FUNCTION publish(first int, last int, more jsonb DEFAULT '{}') RETURNS bigint LANGUAGE sql AS $$
	SELECT count(event_engine.publish_event('restore.event', jsonb_build_object('i', i, 'amount', i) || more,
		event_id => 'event-' || i)) FROM generate_series(first, last) i $$;
SQL
$source->safe_psql('shop', <<'SQL');
CALL event_engine.grant_duty('subscriber', 'owner');
SET ROLE owner;
SELECT event_engine.subscribe('all', '{#}', 'see_all');
SQL
# what a new cluster has not reached, and what the late ones will be told by
$source->safe_psql('postgres', 'DO $$ BEGIN FOR i IN 1..3000 LOOP PERFORM pg_current_xact_id(); COMMIT; END LOOP; END $$');
my $late = $source->background_psql('shop');
$late->query_safe('BEGIN');
$late->query_safe('SELECT publish(201, 220)');
$source->safe_psql('shop', 'SELECT publish(1, 100)');
$source->safe_psql('shop', q(SELECT publish(101, 103, '{"fails": true}')));
wait_until($source, 'shop', 'SELECT count(*) = 203 FROM seen', 'some are delivered');
wait_until($source, 'shop', "SELECT count(*) = 3 FROM event_engine.deliveries WHERE status = 'retry'", 'some are to be tried again');

# the late ones commit, and others are published, and nobody delivers
$source->append_conf('postgresql.conf', 'event_engine.delivery_enabled = off');
$source->reload;
wait_until($source, 'postgres',
	"SELECT current_setting('event_engine.delivery_enabled') = 'off'", 'delivery is off');
$late->query_safe('COMMIT');
$late->quit;
$source->safe_psql('shop', 'SELECT publish(301, 400)');
is($source->safe_psql('shop', 'SELECT count(*) FROM seen'), '203', 'they wait');
$source->command_ok([ 'pg_dump', '-d', $source->connstr('shop'), '-Fc', '-f', "$dumps/one" ], 'dumped');

# ---- a fresh cluster, its workers awake except for delivery

my $target = new_server('target', conf => $CONF);
cmp_ok($target->safe_psql('postgres', 'SELECT pg_current_xact_id()'), '<',
	$source->safe_psql('postgres', 'SELECT pg_current_xact_id()'), 'its transaction ids are lower');
restored($target, 'one', 'pg_restore', '--exit-on-error');
published_after($target, 1001, 1050);

# ---- and another one from there, in one transaction

$target->append_conf('postgresql.conf', 'event_engine.delivery_enabled = off');
$target->reload;
wait_until($target, 'postgres',
	"SELECT current_setting('event_engine.delivery_enabled') = 'off'", 'delivery is off there too');
my $before = $target->safe_psql('shop', 'SELECT count(*) FROM seen');
$target->safe_psql('shop', 'SELECT publish(2001, 2100)');
$target->command_ok([ 'pg_dump', '-d', $target->connstr('shop'), '-f', "$dumps/two" ], 'dumped again');
my $third = new_server('third', conf => $CONF);
$third->safe_psql('postgres', 'DO $$ BEGIN FOR i IN 1..9000 LOOP PERFORM pg_current_xact_id(); COMMIT; END LOOP; END $$');
restored($third, 'two', 'psql', '-qX1', '-v', 'ON_ERROR_STOP=1');
is($third->safe_psql('shop', 'SELECT count(*) FROM seen'), $before + 200, 'what waited, and nothing else');
published_after($third, 3001, 3050);

$_->stop foreach $source, $target, $third;
done_testing();

# Restore, turn delivery on, and see that all has been delivered.
sub restored
{
	my ($node, $dump, @program) = @_;

	$node->append_conf('postgresql.conf', 'event_engine.delivery_enabled = off');
	$node->reload;
	$node->safe_psql('postgres', 'CREATE ROLE owner LOGIN');
	$node->safe_psql('postgres', 'CREATE DATABASE shop');
	$node->command_ok([ @program, '-d', $node->connstr('shop'), $program[0] eq 'psql' ? '-f' : (), "$dumps/$dump" ],
		"$dump: restored without an error");
	is($node->safe_psql('shop', 'SELECT count(*) FROM event_engine.events'),
		$node->safe_psql('shop', 'SELECT count(DISTINCT seq) FROM event_engine.events'), 'every event has its position');
	$node->append_conf('postgresql.conf', 'event_engine.delivery_enabled = on');
	$node->reload;
	wait_until($node, 'shop', "SELECT count(*) = 0 FROM (SELECT (payload ->> 'i')::int FROM event_engine.events"
		  . " EXCEPT SELECT i FROM seen WHERE subscriber = 'all') x", "$dump: nothing is lost for one");
	wait_until($node, 'shop', "SELECT count(*) = 0 FROM (SELECT (payload ->> 'i')::int FROM event_engine.events WHERE NOT payload ? 'fails'"
		  . " EXCEPT SELECT i FROM seen WHERE subscriber = 'see') x", "$dump: nor for the other");
	is($node->safe_psql('shop', "SELECT count(*) FROM event_engine.deliveries WHERE status = 'retry' AND attempts = 1"),
		'3', "$dump: what had failed is to be tried again, and nothing failed since");
	return;
}

sub published_after
{
	my ($node, $first, $last) = @_;

	is($node->safe_psql('shop', "SELECT publish($first, $last)"), $last - $first + 1, 'new events');
	wait_until($node, 'shop', "SELECT count(*) = 2 * ($last - $first + 1) FROM seen WHERE i BETWEEN $first AND $last",
		'are delivered');
	is($node->safe_psql('shop', "SELECT count(*) FROM event_engine.events WHERE event_id = 'event-1'"), '1', 'an identifier');
	$node->safe_psql('shop', 'SELECT publish(1, 1)');
	is($node->safe_psql('shop', "SELECT count(*) FROM event_engine.events WHERE event_id = 'event-1'"), '1', 'is still known');
	my (undef, undef, $error) = $node->psql('shop', q(SELECT event_engine.publish_event('restore.event', '{"amount": -1}')));
	like($error, qr/must be at least 0/, 'validation knows the documents');
	is($node->safe_psql('shop', 'SELECT count(*) FROM event_engine.events WHERE seq > (SELECT last_value FROM event_engine.event_seq)'),
		'0', 'positions go on where they stopped');
	is($node->safe_psql('shop', "SELECT event_engine.subscribe('later', '{#}') IS NOT NULL"), 't', 'one more subscription');
	$node->safe_psql('shop', "SELECT event_engine.unsubscribe('later')");
	return;
}
