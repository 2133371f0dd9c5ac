# A client that waits for events holds nothing while it waits, is woken by the
# commit that brings some, and ends when it is told to.  Clients that share a
# subscription get every event once.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib";

use EventEngine;
use PostgreSQL::Test::Utils;
use Test::More;
use List::Util qw(sum);
use Time::HiRes qw(time);

my $node = new_server('main', conf => "max_prepared_transactions = 2");
new_database($node, 'shop');
$node->safe_psql('shop', <<'SQL');
SELECT event_engine.register_event_definition(p) FROM unnest('{await.event, await.other}'::text[]) p;
SELECT event_engine.subscribe('waiting', '{await.event}', filter => '$.payload.i >= 0');
SQL

my $client = $node->background_psql('shop', on_error_stop => 0);
my $pid = $client->query_safe('SELECT pg_backend_pid()');

# what it holds
await($client);
is($node->safe_psql('shop', <<"SQL"), 't|t|t', 'a client that waits has no snapshot, no transaction id and no lock');
SELECT a.backend_xmin IS NULL, a.backend_xid IS NULL,
	NOT EXISTS (SELECT FROM pg_locks l WHERE l.pid = a.pid AND l.locktype <> 'virtualxid')
FROM pg_stat_activity a WHERE a.pid = $pid
SQL
$node->safe_psql('shop', 'CREATE TABLE passing (); DROP TABLE passing');

# what wakes it, and what does not
publish('await.other', 1);
publish('await.event', -1);
is(waiting($pid), 't', 'events that it does not want leave it waiting');
publish('await.event', 1);
is(answer($client), 't', 'the one it wants wakes it');
is(received(), '1', 'and is there');
$node->safe_psql('shop', "SELECT event_engine.ack_events(receipt) FROM event_engine.event_leases");

my @seconds;
my $publisher = $node->background_psql('shop');
for my $i (1 .. 8)
{
	await($client);
	my $begun = time;
	$publisher->query_safe("SELECT event_engine.publish_event('await.event', '{\"i\": $i}')");
	is(answer($client), 't', "woken $i");
	push @seconds, time - $begun;
	received();
	$node->safe_psql('shop', "SELECT event_engine.ack_events(receipt) FROM event_engine.event_leases");
}
$publisher->quit;
# the poll takes up to a second; the slower ones may be the machine's fault
@seconds = sort { $a <=> $b } @seconds;
cmp_ok(sum(@seconds[0 .. 3]), '<', 0.8, "woken at the commit, not by the slow poll: in @seconds s");

await($client);
$node->safe_psql('shop', <<'SQL');
BEGIN;
SELECT event_engine.publish_event('await.event', '{"i": 10}');
PREPARE TRANSACTION 'await';
SQL
is(waiting($pid), 't', 'what is prepared does not wake it');
$node->safe_psql('shop', "COMMIT PREPARED 'await'");
is(answer($client), 't', 'its commit does');

# while another client reads the log there is nothing, and then what it leaves
my $reader = $node->background_psql('shop');
$reader->query_safe('BEGIN');
is($reader->query_safe("SELECT payload ->> 'i' FROM event_engine.receive_events('waiting')"), '10', 'another client is faster');
await($client);
$reader->query_safe('ROLLBACK');
is(answer($client), 't', 'what it gives up wakes us');
$reader->query_safe('BEGIN');
$reader->query_safe("SELECT count(*) FROM event_engine.receive_events('waiting')");
await($client);
$reader->query_safe('COMMIT');
is(waiting($pid), 't', 'what it takes does not');
$reader->query_safe("SELECT event_engine.nack_events(receipt, '0') FROM event_engine.event_leases");
is(answer($client), 't', 'what it rejects does');
is(received(), '10', 'and is there');
await($client);
$node->safe_psql('shop', "SELECT event_engine.extend_events(receipt, '0') FROM event_engine.deliveries WHERE receipt IS NOT NULL");
is(answer($client), 't', 'so does what is given back');
$node->safe_psql('shop', "SELECT event_engine.pause_subscription('waiting')");
await($client);
$node->safe_psql('shop', "SELECT event_engine.resume_subscription('waiting')");
is(answer($client), 't', 'and a subscription that is resumed');
received();
$node->safe_psql('shop', "SELECT event_engine.ack_events(receipt) FROM event_engine.deliveries WHERE receipt IS NOT NULL");

# a limit of events in flight: there is nothing until some are settled
$node->safe_psql('shop', "SELECT event_engine.update_subscription('waiting', options => '{\"max_in_flight\": 1}')");
publish('await.event', $_) for 1 .. 2;
is(received(), '1', 'one in flight');
await($client);
is(waiting($pid), 't', 'no more than that: it waits');
$node->safe_psql('shop', "SELECT event_engine.ack_events(receipt) FROM event_engine.event_leases");
is(answer($client), 't', 'until there is room');
is(received(), '2', 'for the next');
$node->safe_psql('shop', "SELECT event_engine.ack_events(receipt) FROM event_engine.event_leases");
$node->safe_psql('shop', "SELECT event_engine.update_subscription('waiting', options => '{\"max_in_flight\": 0, \"rate_limit\": 2}')");
publish('await.event', $_) for 3 .. 4;
is(received(), '3', 'at a limited rate');
$client->{stdout} = $client->{stderr} = '';
$client->{stdin} .= "CALL event_engine.await_events('waiting', '5 min');\n\\echo the end\n";
is(answer($client), 't', 'it waits for the next token');
is(received(), '4', 'which is there then');
$node->safe_psql('shop', "SELECT event_engine.ack_events(receipt) FROM event_engine.event_leases");
$node->safe_psql('shop', "SELECT event_engine.update_subscription('waiting', options => '{\"rate_limit\": 0}')");

# a filter that raises an error: receive_events() is to deal with it
$node->safe_psql('shop', <<'SQL');
SELECT event_engine.update_subscription('waiting', filter => '$.payload.at.datetime() < "2026-01-01T00:00:00+00:00".datetime()')
SQL
await($client);
$node->safe_psql('shop', <<'SQL');
SELECT event_engine.publish_event('await.event', '{"at": "2025-01-01"}');
SQL
is(answer($client), 't', 'an event that a filter cannot be applied to wakes it');
is(received(), '', 'so that it becomes a dead letter');
is($node->safe_psql('shop', 'SELECT count(*) FROM event_engine.event_dead_letters'), '1', 'it has');
$node->safe_psql('shop', "SELECT event_engine.update_subscription('waiting', filter => '\$.payload.i >= 0')");

# what ends it
await($client);
$node->safe_psql('shop', "SELECT pg_cancel_backend($pid)");
like(answer($client), qr/canceling statement due to user request/, 'it can be cancelled');
await($client);
publish('await.event', 11);
is(answer($client), 't', 'and wait again');
received();
await($client);
$node->safe_psql('shop', 'DROP EXTENSION event_engine CASCADE');
like(answer($client), qr/ERROR:.*(event_engine|does not exist|could not open relation|unknown subscription)/, 'DROP EXTENSION does not wait for it, and ends it');
$client->quit;
$reader->quit;

$node->safe_psql('shop', <<'SQL');
CREATE EXTENSION event_engine;
SELECT event_engine.register_event_definition(p) FROM unnest('{await.event, await.other}'::text[]) p;
SELECT event_engine.subscribe('waiting', '{await.event}');
SQL
$client = $node->background_psql('shop', on_error_stop => 0);
$pid = $client->query_safe('SELECT pg_backend_pid()');
await($client);
$node->safe_psql('shop', "SELECT pg_terminate_backend($pid, 10000)");
wait_until($node, 'shop', "SELECT NOT EXISTS (SELECT FROM pg_stat_activity WHERE pid = $pid)", 'it can be terminated');
$client->{run}->finish;

compete($node);
$node->stop;

# nobody wakes who waits on a server that has not preloaded the library
my $late = new_server('late', preload => 0);
new_database($late, 'shop');
$late->safe_psql('shop', <<'SQL');
SELECT event_engine.register_event_definition('await.event');
SELECT event_engine.subscribe('waiting', '{await.event}');
SQL
$client = $late->background_psql('shop');
$pid = $client->query_safe('SELECT pg_backend_pid()');
$node = $late;
await($client);
publish('await.event', 1);
is(answer($client), 't', 'without preloading it looks by itself');
$client->quit;
compete($late);
$late->stop;
done_testing();

# Begin to wait, and be waiting.
sub await
{
	my ($who) = @_;
	my $backend = $who->query_safe('SELECT pg_backend_pid()');

	$who->{stdout} = '';
	$who->{stderr} = '';
	$who->{stdin} .= "CALL event_engine.await_events('waiting', '5 min');\n\\echo the end\n";
	$who->{run}->pump_nb;
	# the first look is over when it waits for the latch
	$node->poll_query_until('shop', waits($backend))
	  or die 'it does not wait';
	return;
}

sub waits
{
	return "SELECT wait_event_type = 'Extension' AND backend_xmin IS NULL FROM pg_stat_activity WHERE pid = $_[0]";
}

# Does it wait still, after it has looked?
sub waiting
{
	my ($backend) = @_;

	return $node->poll_query_until('shop', waits($backend)) ? 't' : 'f';
}

# What the call came back with.
sub answer
{
	my ($who) = @_;

	$who->{run}->pump until $who->{stdout} =~ /the end\n/;
	my $said = $who->{stdout} . $who->{stderr};
	$said =~ s/the end\n//;
	chomp $said;
	$who->{stdout} = $who->{stderr} = '';
	return $said;
}

sub publish
{
	my ($pattern, $i) = @_;

	$node->safe_psql('shop', "SELECT event_engine.publish_event('$pattern', '{\"i\": $i}')");
	return;
}

sub received
{
	return $node->safe_psql('shop', "SELECT payload ->> 'i' FROM event_engine.receive_events('waiting')");
}

# Three clients, two publishers, a rollback now and then: each event has one
# effect.
sub compete
{
	my ($server) = @_;
	my $n = 600;

	$server->safe_psql('shop', <<'SQL');
SELECT event_engine.register_event_definition('compete.event');
SELECT event_engine.subscribe('competing', '{compete.event}', options => '{"max_attempts": 100, "backoff_ms": 0}');
CREATE TABLE effects (i int, client int);
SQL
	my @clients = map { [ $server->background_psql('shop', timeout => 300), $_ ] } 1 .. 3;
	for (@clients)
	{
		my ($who, $number) = @$_;

		$who->{stdout} = '';
		$who->{stdin} .= <<"SQL";
DO \$\$
DECLARE
	available boolean;
	got uuid;
	rounds int := 0;
BEGIN
	LOOP
		CALL event_engine.await_events('competing', '1 s', available);
		EXIT WHEN (SELECT count(*) FROM effects) >= $n;
		rounds := rounds + 1;
		WITH r AS MATERIALIZED (SELECT * FROM event_engine.receive_events('competing', 7, '1 min')),
		done AS (INSERT INTO effects SELECT (r.payload ->> 'i')::int, $number FROM r)
		SELECT min(r.receipt::text)::uuid INTO got FROM r;
		CONTINUE WHEN got IS NULL;
		IF rounds % 5 = 0 THEN
			ROLLBACK;
		ELSIF rounds % 5 = 1 THEN
			DELETE FROM effects e USING event_engine.event_leases l JOIN event_engine.events x ON x.seq = ANY (l.seqs)
				WHERE l.receipt = got AND e.i = (x.payload ->> 'i')::int;
			DELETE FROM effects e USING event_engine.deliveries d
				WHERE d.receipt = got AND e.i = ((d.event).payload ->> 'i')::int;
			PERFORM event_engine.nack_events(got);
			COMMIT;
		ELSE
			PERFORM event_engine.ack_events(got);
			COMMIT;
		END IF;
	END LOOP;
END
\$\$;
\\echo the end
SQL
		$who->{run}->pump_nb;
	}
	my @publishers = map { my $first = $_;
		my $who = $server->background_psql('shop');
		$who->{stdin} .= join('', map { "SELECT event_engine.publish_event('compete.event', '{\"i\": $_}');\n" }
			grep { $_ % 2 == $first } 1 .. $n);
		$who->{run}->pump_nb;
		$who } 0 .. 1;
	for (@publishers) { $_->query_safe('SELECT 1'); $_->quit; }
	for (@clients) { answer($_->[0]); $_->[0]->quit; }
	is($server->safe_psql('shop', 'SELECT count(*), count(DISTINCT i) FROM effects'), "$n|$n", 'clients that compete: every event once');
	is($server->safe_psql('shop', "SELECT (SELECT count(*) FROM event_engine.event_leases), (SELECT count(*) FROM event_engine.deliveries)"),
		'0|0', 'and nothing is left over');
	return;
}
