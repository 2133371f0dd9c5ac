# drain_subscription waits for what was published before it, and pauses then.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../lib";
use EventEngine;
use IPC::Run;
use Test::More;

my $node = new_server('main');
new_database($node, 'shop');
$node->safe_psql('shop', <<'SQL');
SELECT event_engine.register_event_definition('drain.test');
CREATE TABLE done (n integer);
CREATE TABLE trouble (n integer);
CREATE FUNCTION take(e event_engine.event) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
	PERFORM pg_advisory_xact_lock_shared((e.payload ->> 'n')::integer);
	IF EXISTS (SELECT FROM trouble AS t WHERE t.n = (e.payload ->> 'n')::integer) THEN RAISE 'trouble'; END IF;
	INSERT INTO done VALUES ((e.payload ->> 'n')::integer);
END $$;
CREATE FUNCTION publish(lower integer, upper integer, at timestamptz DEFAULT NULL) RETURNS bigint LANGUAGE sql AS $$
	SELECT count(event_engine.publish_event('drain.test', jsonb_build_object('n', i), deliver_at => $3))
	FROM generate_series($1, $2) AS i
$$;
SELECT event_engine.subscribe('taker', '{drain.test}', 'take',
	options => '{"backoff_ms": 50, "max_attempts": 1000, "breaker_threshold": 0}');
INSERT INTO trouble VALUES (500);
SELECT publish(1, 1000);
SQL

sub query { return $node->safe_psql('shop', $_[0]); }

# What fails is not settled: the time is over.
my ($rc, $out, $err) = $node->psql('shop',
	"\\set VERBOSITY verbose\nCALL event_engine.drain_subscription('taker', timeout => '500 milliseconds')");
like($err, qr/VE408: +subscription "taker" has not been drained in time/,
	'an event that is retried is not settled');
is(query("SELECT status FROM event_engine.subscriptions"), 'active',
	'and nothing is paused');

# Delivery goes on; what is delayed does not count; then it is paused.
query("SELECT publish(2000, 2000, now() + interval '1 day')");
query('DELETE FROM trouble');
query("CALL event_engine.drain_subscription('taker')");
is(query("SELECT status || ': ' || status_reason FROM event_engine.subscriptions"),
	'paused: drained', 'when all is settled it is paused');
is(query('SELECT count(*), count(DISTINCT n) FROM done'), '1000|1000',
	'all was delivered');
query('SELECT publish(1001, 1010)');
query("SELECT event_engine.resume_subscription('taker')");
wait_until($node, 'shop', 'SELECT count(*) = 1010 FROM done',
	'it goes on when it is resumed');

# A batch that fails and commits between a look at what is to be retried and
# one at the log: here the latter waits for the definitions meanwhile.
query("SELECT event_engine.update_subscription('taker', options => '{\"backoff_ms\": 3600000}')");
query('INSERT INTO trouble VALUES (3000)');
my $gate = $node->background_psql('shop');
$gate->query_safe('SELECT pg_advisory_lock(3000)');
query('SELECT publish(3000, 3000)');
wait_until($node, 'shop', "SELECT count(*) = 1 FROM pg_locks WHERE locktype = 'advisory' AND NOT granted",
	'a handler is about to fail');
my $definitions = $node->background_psql('shop');
$definitions->query_safe('BEGIN');
$definitions->query_safe('LOCK TABLE event_engine.event_definitions');
my ($in, $nothing, $told) = ('', '', '');
my $drain = IPC::Run::start([ 'psql', '-XAtq', '-d', $node->connstr('shop'), '-c',
		"CALL event_engine.drain_subscription('taker', timeout => '1 second')" ],
	'<', \$in, '>', \$nothing, '2>', \$told);
wait_until($node, 'shop', <<'SQL', 'the drain is between its looks');
SELECT count(*) = 1 FROM pg_locks
WHERE relation = 'event_engine.event_definitions'::regclass AND NOT granted
SQL
$gate->quit;
wait_until($node, 'shop', 'SELECT count(*) = 1 FROM event_engine.deliveries WHERE NOT status = \'delayed\'',
	'the failure is committed');
$definitions->quit;
$drain->finish;
like($told, qr/has not been drained in time/, 'what fails between two looks is not settled either');
is(query("SELECT status FROM event_engine.subscriptions"), 'active', 'hence nothing is paused');

# With the snapshot that is kept by default it would wait for ever.
query('DELETE FROM trouble');
query("SELECT event_engine.seek_subscription('taker', 'beginning')");
query('SELECT publish(3001, 3100)');
for my $level ('repeatable read', 'serializable')
{
	query("SELECT event_engine.resume_subscription('taker')");
	query("SET default_transaction_isolation = '$level'; CALL event_engine.drain_subscription('taker')");
	is(query("SELECT status FROM event_engine.subscriptions"), 'paused', "it is paused, by default $level");
	query("SELECT publish(3101, 3200)");
}
is(query('SELECT count(DISTINCT n) FROM done WHERE n > 2999'), '201', 'and what came before was delivered');
query("SELECT event_engine.resume_subscription('taker')");

# Not where a transaction would keep a snapshot.
($rc, $out, $err) = $node->psql('shop',
	"BEGIN; CALL event_engine.drain_subscription('taker')");
like($err, qr/cannot be called in a transaction block/,
	'not in a transaction block');
($rc, $out, $err) = $node->psql('shop',
	"CALL event_engine.drain_subscription('nobody')");
like($err, qr/unknown subscription "nobody"/, 'not for nobody');
query('CREATE ROLE stranger');
query("CALL event_engine.grant_duty('subscriber', 'stranger')");
($rc, $out, $err) = $node->psql('shop',
	"SET ROLE stranger; CALL event_engine.drain_subscription('taker')");
like($err, qr/must be owner of subscription "taker"/, 'not by a stranger');

# What a client holds is not settled.
query("SELECT event_engine.subscribe('puller', '{drain.test}')");
query('SELECT publish(1, 5)');
my $receipt = query("SELECT receipt FROM event_engine.receive_events('puller', 5) LIMIT 1");
($rc, $out, $err) = $node->psql('shop',
	"CALL event_engine.drain_subscription('puller', timeout => '200 milliseconds')");
like($err, qr/has not been drained/, 'what a client holds is not settled');
query("SELECT event_engine.ack_events('$receipt')");
query("CALL event_engine.drain_subscription('puller')");
is(query("SELECT status FROM event_engine.subscriptions WHERE subscriber = 'puller'"),
	'paused', 'what it has acknowledged is');

$node->stop;
done_testing();
