# Whoever asks holds nothing while it waits, is woken by the commit of the
# reply to its own request, gets the first of several, and ends when told to.
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
SELECT event_engine.register_event_definition(p) FROM unnest('{price.asked, price.asked.reply, slow.asked, slow.asked.reply}'::text[]) p;
SELECT event_engine.subscribe('by hand', '{slow.asked}');
CREATE FUNCTION price(e event_engine.event) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
	PERFORM event_engine.reply_event(e.id, jsonb_build_object('price', (e.payload ->> 'sku')::int * 2));
END $$;
SELECT event_engine.subscribe('pricing', '{price.asked}', 'price');
SQL

# a handler replies
is(ask(21), '{"price": 42}', 'the reply of a handler');
my @seconds;
for my $i (1 .. 8)
{
	my $begun = time;
	is(ask($i), qq({"price": @{[2 * $i]}}), "asked again: $i");
	push @seconds, time - $begun;
}
# the poll takes a second; the slower ones may be the machine's fault
@seconds = sort { $a <=> $b } @seconds;
cmp_ok(sum(@seconds[0 .. 2]), '<', 2.5, 'woken by the reply, not by the slow poll');

# as a transaction block is what a pooler takes for one: a statement by itself
my $many = $node->psql('shop', join('', map { "CALL event_engine.query_event('price.asked', '{\"sku\": $_}');" } 1 .. 20));
is($many, 0, 'one session asks on and on');

# several at once: everybody gets his own reply
my @clients = map { $node->background_psql('shop', on_error_stop => 0) } 1 .. 4;
for my $round (1 .. 5)
{
	start($clients[$_], 'price.asked', '{"sku": ' . (100 * $round + $_) . '}') for 0 .. 3;
	is(answer($clients[$_]), '{"price": ' . 2 * (100 * $round + $_) . '}', "client $_ in round $round") for 0 .. 3;
}

# what it holds, and what wakes it
my $client = $clients[0];
my $pid = $client->query_safe('SELECT pg_backend_pid()');
my $asked = waits('{"n": 1}');
is($node->safe_psql('shop', <<"SQL"), 't|t|t', 'who waits has no snapshot, no transaction id and no lock');
SELECT a.backend_xmin IS NULL, a.backend_xid IS NULL,
	NOT EXISTS (SELECT FROM pg_locks l WHERE l.pid = a.pid AND l.locktype <> 'virtualxid')
FROM pg_stat_activity a WHERE a.pid = $pid
SQL
my $other = $node->background_psql('shop');
$other->query_safe('BEGIN');
$other->query_safe("SELECT event_engine.reply_event('$asked', '{\"by\": 1}')");
is(waiting(), 't', 'a reply that is not committed is none');
$other->query_safe('COMMIT');
is(answer($client), '{"by": 1}', 'its commit wakes');

# the one that is first in the end, whoever began first
$asked = waits('{"n": 2}');
$other->query_safe('BEGIN');
$other->query_safe("SELECT event_engine.reply_event('$asked', '{\"by\": 1}')");
my $second = $node->background_psql('shop');
$second->{stdin} .= "SELECT event_engine.reply_event('$asked', '{\"by\": 2}');\n";
$second->{run}->pump_nb;
$node->poll_query_until('shop', "SELECT EXISTS (SELECT FROM pg_stat_activity WHERE wait_event_type = 'Lock')")
  or die 'the second reply does not wait';
$other->query_safe('ROLLBACK');
is(answer($client), '{"by": 2}', 'the second reply is the first where the first is rolled back');
$other->query_safe("SELECT event_engine.reply_event('$asked', '{\"by\": 3}')");
is($node->safe_psql('shop', "SELECT string_agg(reply || ' ' || payload, ', ') FROM event_engine.list_replies('$asked')"),
	'first {"by": 2}, late {"by": 3}', 'late replies can be seen');

# by a prepared transaction
$asked = waits('{"n": 3}');
$node->safe_psql('shop', "BEGIN; SELECT event_engine.reply_event('$asked', '{\"by\": 4}'); PREPARE TRANSACTION 'reply'");
is(waiting(), 't', 'what is prepared is no reply yet');
$node->safe_psql('shop', "COMMIT PREPARED 'reply'");
is(answer($client), '{"by": 4}', 'its commit wakes');

# the time is up, and it waits on
my ($rc, $out, $err) = $node->psql('shop', "\\set VERBOSITY verbose\nCALL event_engine.query_event('slow.asked', '{}', '50 ms')");
like($err, qr/VE421: .*no reply to event "slow.asked" within 0.050 s/, 'no reply in time');
($asked) = $err =~ /The request is event ([0-9a-f-]{36})/;
$client->{stdout} = $client->{stderr} = '';
$client->{stdin} .= "CALL event_engine.await_reply('$asked', '5 min');\n\\echo the end\n";
$client->{run}->pump_nb;
is(waiting(), 't', 'it waits on');
$node->safe_psql('shop', "SELECT event_engine.reply_event('$asked', '{\"by\": 5}')");
is(answer($client), '{"by": 5}', 'a reply after the time-out is had by waiting on');
is($node->safe_psql('shop', "SELECT in_time FROM event_engine.list_replies('$asked')"), 'f', 'and was not in time');

# it ends when it is told to, and its place is free again
$asked = waits('{"n": 4}');
$node->safe_psql('shop', "SELECT pg_cancel_backend($pid)");
pump_until($client->{run}, $client->{timeout}, \$client->{stderr}, qr/canceling statement/) or die 'not cancelled';
pump_until($client->{run}, $client->{timeout}, \$client->{stdout}, qr/the end/);
$client->{stdout} = $client->{stderr} = '';
is($client->query_safe('SELECT 1'), '1', 'a cancelled wait leaves the session as it was');
waits('{"n": 5}');
$node->safe_psql('shop', "SELECT pg_terminate_backend($pid)");
$node->poll_query_until('shop', "SELECT NOT EXISTS (SELECT FROM pg_stat_activity WHERE pid = $pid)") or die 'still there';
$client->{run}->finish;
is(ask(3), '{"price": 6}', 'others go on');

$_->quit for $other, $second, @clients[1 .. 3];
$node->stop;
done_testing();

# ask(sku): the reply of the handler
sub ask
{
	my ($sku) = @_;
	return (split /\|/, $node->safe_psql('shop', "CALL event_engine.query_event('price.asked', '{\"sku\": $sku}')"))[0];
}

sub start
{
	my ($who, $pattern, $payload) = @_;
	$who->{stdout} = $who->{stderr} = '';
	$who->{stdin} .= "CALL event_engine.query_event('$pattern', '$payload', '5 min');\n\\echo the end\n";
	$who->{run}->pump_nb;
	return;
}

# waits(payload): the client has asked what nobody replies to; the request
sub waits
{
	my ($payload) = @_;
	start($client, 'slow.asked', $payload);
	$node->poll_query_until('shop', "SELECT EXISTS (SELECT FROM event_engine.events WHERE payload = '$payload')")
	  or die 'it has not asked';
	waiting() eq 't' or die 'it does not wait';
	return $node->safe_psql('shop', "SELECT id FROM event_engine.events WHERE payload = '$payload'");
}

# Does it wait, after it has looked?
sub waiting
{
	return $node->poll_query_until('shop', <<"SQL") ? 't' : 'f';
SELECT wait_event_type = 'Extension' AND backend_xmin IS NULL FROM pg_stat_activity WHERE pid = $pid
SQL
}

# answer(client): the reply that has come
sub answer
{
	my ($who) = @_;
	pump_until($who->{run}, $who->{timeout}, \$who->{stdout}, qr/the end/) or die "no answer: $who->{stderr}";
	my ($row) = split /\n/, $who->{stdout};
	$who->{stdout} = '';
	return (split /\|/, $row)[0];
}
