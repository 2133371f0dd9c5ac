# Behind a connection pooler in transaction mode each transaction of a client
# may run in another session.  Publishing, receiving, settling and waiting work
# there all the same, and leave nothing in the sessions.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib";

use EventEngine;
use PostgreSQL::Test::Utils;
use Test::More;

my ($pgbouncer) = grep { -x } map { "$_/pgbouncer" } split(/:/, $ENV{PATH}), '/usr/sbin', '/usr/local/sbin';
plan skip_all => 'pgbouncer is not installed (Debian: apt-get install pgbouncer)' if !defined $pgbouncer;

# as many sessions in the pool
my $SESSIONS = 3;

my $node = new_server('main');
new_database($node, 'shop');
my $pooler = start_pooler($node);

$pooler->safe_psql('shop', <<'SQL');
SELECT event_engine.register_event_definition('pool.event');
SELECT event_engine.subscribe('pulled', '{pool.event}', options => '{"backoff_ms": 0}');
CREATE TABLE effects (i int, session int DEFAULT pg_backend_pid());
SQL

# received in one session, settled in others
my ($receipt, $session) = receive();
publish(1);
($receipt, $session) = receive();
is(in_another($session, "event_engine.ack_events('$receipt')"), '1', 'acknowledged in another session');
publish(2, 3, 4);
($receipt, $session) = receive();
is(in_another($session, "event_engine.extend_events('$receipt', '1 h') > now() + '50 min'"), 't', 'extended');
is(in_another($session, "event_engine.nack_events('$receipt', '0', 'no', ARRAY(SELECT id FROM event_engine.events WHERE payload ->> 'i' = '3'))"),
	'1', 'one of them rejected');
is(in_another($session, "event_engine.ack_events('$receipt')"), '2', 'the others acknowledged');
my ($again) = receive();
is(in_another($session, "event_engine.ack_events('$again')"), '1', 'the rejected one has come again');

# in the transaction of the effects, of several statements
publish(5);
my $client = $pooler->background_psql('shop');
$client->query_safe('BEGIN');
$client->query_safe('CREATE TEMP TABLE got ON COMMIT DROP AS SELECT * FROM event_engine.receive_events(\'pulled\')');
$client->query_safe("INSERT INTO effects SELECT (payload ->> 'i')::int FROM got");
is($client->query_safe('SELECT event_engine.ack_events(receipt) FROM got'), '1', 'acknowledged in the transaction that received');
$client->query_safe('COMMIT');
is($pooler->safe_psql('shop', 'SELECT i FROM effects'), '5', 'with its effects');

# a late owner is refused, and its effects with it
publish(6);
($receipt, $session) = receive();
in_another($session, "event_engine.extend_events('$receipt', '0')");
my ($taken_over) = receive();
isnt($taken_over, $receipt, 'taken over by another client');
my (undef, undef, $error) = $pooler->psql('shop', <<"SQL", on_error_stop => 1);
\\set VERBOSITY sqlstate
BEGIN;
INSERT INTO effects VALUES (6);
SELECT event_engine.ack_events('$receipt');
COMMIT;
SQL
like($error, qr/VE402/, 'the late owner is refused');
is($pooler->safe_psql('shop', 'SELECT count(*) FROM effects WHERE i = 6'), '0', 'and its effects undone');
is($pooler->safe_psql('shop', "SELECT event_engine.ack_events('$taken_over')"), '1', 'the new owner is not');

# waiting
$client->{stdout} = '';
$client->{stdin} .= "CALL event_engine.await_events('pulled', '5 min');\n\\echo the end\n";
$client->{run}->pump_nb;
wait_until($node, 'shop', <<'SQL', 'a client waits without a snapshot');
SELECT count(*) = 1 FROM pg_stat_activity
WHERE query LIKE 'CALL event_engine.await_events%' AND wait_event_type = 'Extension' AND backend_xmin IS NULL
SQL
publish(7);
$client->{run}->pump until $client->{stdout} =~ /the end\n/;
like($client->{stdout}, qr/^t$/m, 'and is woken');
$client->{stdout} = '';
($receipt) = receive();
is($client->query_safe("SELECT event_engine.ack_events('$receipt')"), '1', 'the same client goes on');

# asking: the request in one transaction, the wait for its reply in others
$pooler->safe_psql('shop', <<'SQL');
SELECT event_engine.register_event_definition(p) FROM unnest('{pool.asked, pool.asked.reply}'::text[]) p;
CREATE FUNCTION pool_answer(e event_engine.event) RETURNS void LANGUAGE sql AS
	$$ SELECT event_engine.reply_event(e.id, jsonb_build_object('double', 2 * (e.payload ->> 'n')::int)) $$;
SELECT event_engine.subscribe('answering', '{pool.asked}', 'pool_answer');
SQL
is(join(' ', map { (split /\|/, $pooler->safe_psql('shop', "CALL event_engine.query_event('pool.asked', '{\"n\": $_}')"))[0] } 1 .. 4),
	'{"double": 2} {"double": 4} {"double": 6} {"double": 8}', 'requests are answered');

# clients that compete, more than there are sessions
$pooler->safe_psql('shop', <<'SQL');
TRUNCATE effects;
CREATE SEQUENCE numbers;
CREATE TABLE receipts (client int, receipt uuid);
SQL
my $publish = script('publish', "SELECT event_engine.publish_event('pool.event', jsonb_build_object('i', nextval('numbers')));\n");
my $receive = script('receive', <<'SQL');
WITH r AS MATERIALIZED (SELECT * FROM event_engine.receive_events('pulled', 5)),
k AS (INSERT INTO receipts SELECT DISTINCT :client_id::int, r.receipt FROM r)
INSERT INTO effects SELECT (r.payload ->> 'i')::int FROM r;
WITH mine AS (DELETE FROM receipts WHERE client = :client_id RETURNING receipt)
SELECT sum(event_engine.ack_events(m.receipt)) FROM mine m;
SQL
my $at_once = script('at_once', <<'SQL');
WITH r AS MATERIALIZED (SELECT * FROM event_engine.receive_events('pulled', 5)),
done AS (INSERT INTO effects SELECT (r.payload ->> 'i')::int FROM r)
SELECT event_engine.ack_events(r.receipt) FROM (SELECT DISTINCT receipt FROM r) r;
SQL
for my $mode (qw(simple extended))
{
	local $ENV{PGHOST} = $pooler->host;
	local $ENV{PGPORT} = $pooler->port;
	my ($out, $err);
	my $ok = IPC::Run::run([ 'pgbench', '-n', '-M', $mode, '-c', '6', '-j', '2', '-t', '100',
			'-f', "$publish\@2", '-f', "$receive\@1", '-f', "$at_once\@1", 'shop' ], '>', \$out, '2>', \$err);
	ok($ok && $err !~ /aborted/, "six clients on $SESSIONS sessions, $mode protocol") or diag($out, $err);
}
for (1 .. 1000)
{
	my ($left) = receive(1000);
	last if !defined $left;
	$pooler->safe_psql('shop', <<"SQL");
INSERT INTO effects SELECT (e.payload ->> 'i')::int FROM event_engine.event_leases l JOIN event_engine.events e ON e.seq = ANY (l.seqs)
WHERE l.receipt = '$left';
SELECT event_engine.ack_events('$left');
SQL
}
is($pooler->safe_psql('shop', 'SELECT count(*) = (SELECT last_value FROM numbers), count(*) = count(DISTINCT i) FROM effects'),
	't|t', 'each event once');
cmp_ok($pooler->safe_psql('shop', 'SELECT count(DISTINCT session) FROM effects'), '>', 1, 'through several sessions');

# what is left in the sessions
for (in_all_sessions(<<'SQL'))
SELECT pg_backend_pid(), (SELECT count(*) FROM pg_prepared_statements), (SELECT count(*) FROM pg_cursors),
	(SELECT count(*) FROM pg_listening_channels()),
	(SELECT count(*) FROM pg_class WHERE relnamespace = pg_my_temp_schema()),
	(SELECT count(*) FROM pg_locks WHERE pid = pg_backend_pid() AND locktype IN ('advisory', 'object')),
	(SELECT string_agg(name, ' ') FROM pg_settings WHERE source = 'session'
		AND name NOT IN ('application_name', 'client_encoding', 'DateStyle', 'TimeZone', 'standard_conforming_strings'))
SQL
{
	like($_, qr/^\d+\|0\|0\|0\|0\|0\|$/, 'nothing is left in a session');
}

# what one session changes the others see
my $before = $pooler->safe_psql('shop', 'SELECT count(*) FROM event_engine.events');
$pooler->safe_psql('shop', "SELECT event_engine.pause_subscription('pulled')");
publish(8);
is(join(' ', in_all_sessions("SELECT count(*) FROM event_engine.receive_events('pulled')")), '0 0 0', 'paused in one, paused in all');
$pooler->safe_psql('shop', "SELECT event_engine.resume_subscription('pulled')");
is(join(' ', sort(in_all_sessions("SELECT count(*) FROM event_engine.receive_events('pulled')"))), '0 0 1', 'resumed in all');
$pooler->safe_psql('shop', <<'SQL');
DROP EXTENSION event_engine CASCADE;
CREATE EXTENSION event_engine;
SELECT event_engine.register_event_definition('pool.event');
SELECT event_engine.subscribe('pulled', '{pool.event}');
SQL
publish($_) for 1 .. $SESSIONS;
is(join(' ', in_all_sessions("SELECT count(*) FROM event_engine.receive_events('pulled', 1)")),
	'1 1 1', 'a new extension is found by all');

$client->quit;
stop_pooler();
$node->stop;
done_testing();

END { stop_pooler(); }

# The real thing, in a folder of its own, without TCP.
sub start_pooler
{
	my ($server) = @_;
	my $dir = PostgreSQL::Test::Utils::tempdir_short();
	my $port = PostgreSQL::Test::Cluster::get_free_port();
	my $user = getpwuid($>);

	PostgreSQL::Test::Utils::append_to_file("$dir/pgbouncer.ini", <<"INI");
[databases]
shop = host=@{[ $server->host ]} port=@{[ $server->port ]} dbname=shop user=$user
[pgbouncer]
listen_addr =
listen_port = $port
unix_socket_dir = $dir
auth_type = any
pool_mode = transaction
default_pool_size = $SESSIONS
max_client_conn = 50
logfile = $dir/pgbouncer.log
pidfile = $dir/pgbouncer.pid
INI
	system_or_bail($pgbouncer, '-q', '-d', "$dir/pgbouncer.ini");
	my $through = bless { %$server, _host => $dir, _port => $port, _name => 'pooler' }, ref $server;
	$through->{_ini} = $dir;
	$through->poll_query_until('shop', 'SELECT true') or BAIL_OUT('pgbouncer does not answer');
	return $through;
}

sub stop_pooler
{
	return if !defined $pooler || !-f "$pooler->{_ini}/pgbouncer.pid";
	my $pid = slurp_file("$pooler->{_ini}/pgbouncer.pid");
	chomp $pid;
	kill 'TERM', $pid;
	unlink "$pooler->{_ini}/pgbouncer.pid";
	return;
}

sub publish
{
	$pooler->safe_psql('shop', "SELECT event_engine.publish_event('pool.event', '{\"i\": $_}')") for @_;
	return;
}

# The receipt of what there is, and the session that received it.
sub receive
{
	my ($max) = @_;
	my @row = split /\|/, $pooler->safe_psql('shop',
		'SELECT DISTINCT receipt, pg_backend_pid() FROM event_engine.receive_events(\'pulled\', ' . ($max // 100) . ')');

	return @row;
}

# The value of an expression in another session than that one.
sub in_another
{
	my ($avoided, $expression) = @_;
	my @holders;

	# whoever has it open keeps it from the pool
	while (@holders < $SESSIONS - 1)
	{
		push @holders, $pooler->background_psql('shop');
		$holders[-1]->query_safe('BEGIN');
		last if $holders[-1]->query_safe('SELECT pg_backend_pid()') == $avoided;
	}
	my ($found, $value) = split /\|/, $pooler->safe_psql('shop', "SELECT pg_backend_pid(), $expression");
	for (@holders) { $_->query_safe('COMMIT'); $_->quit; }
	isnt($found, $avoided, 'in another session');
	return $value;
}

# What a statement says in each of the sessions.
sub in_all_sessions
{
	my ($sql) = @_;
	my @said;
	my @holders = map { $pooler->background_psql('shop') } 1 .. $SESSIONS;

	# each in its own, which it keeps until all have one
	for (@holders)
	{
		$_->query_safe('BEGIN');
		$_->query_safe('SELECT 1');
	}
	for (@holders)
	{
		push @said, $_->query_safe($sql);
		$_->query_safe('COMMIT');
		$_->quit;
	}
	return @said;
}

sub script
{
	my ($name, $sql) = @_;
	my $file = "$PostgreSQL::Test::Utils::tmp_check/$name.sql";

	PostgreSQL::Test::Utils::append_to_file($file, $sql);
	return $file;
}
