# ALTER EXTENSION UPDATE from the first release: with a backlog, leases,
# retries, dead letters and waiting workflows, under load, rolled back, with
# workers and without, and with a library that is older than the script.
# Nothing is lost, and nothing happens twice.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../lib";

use EventEngine;
use IPC::Run;
use PostgreSQL::Test::Utils;
use Test::More;

my $FIRST = '0.1.0';
my $CONF = <<'CONF';
event_engine.delivery_poll_interval = 200ms
event_engine.worker_launch_interval = 500ms
log_statement = none
CONF
my $dir = PostgreSQL::Test::Utils::tempdir();
my $OLDER = "dynamic_library_path = '$dir:\$libdir'";

my $node = new_server('main', conf => $CONF);
my $CURRENT = $node->safe_psql('postgres',
	"SELECT default_version FROM pg_available_extensions WHERE name = 'event_engine'");
older_library();

# ---- the first release at work

$node->append_conf('postgresql.conf', $OLDER);
$node->restart;
$node->safe_psql('postgres', 'CREATE DATABASE shop');
$node->safe_psql('shop', "CREATE EXTENSION event_engine VERSION '$FIRST'");
is($node->safe_psql('shop', 'SELECT event_engine.library_version()'), $FIRST, 'the library is of then');
$node->safe_psql('postgres', 'CREATE ROLE publisher LOGIN; CREATE ROLE everything');
$node->safe_psql('shop', "CALL event_engine.grant_duty('publisher', 'publisher')");
$node->safe_psql('shop', "CALL event_engine.grant_duty('$_', 'everything')")
  foreach qw(publisher subscriber reader operator);
set_up($node, 'shop');
$node->safe_psql('shop', <<'SQL');
SELECT event_engine.subscribe('later', '{order.placed}', 'see_later');
SELECT event_engine.pause_subscription('later');
SELECT event_engine.subscribe('pulled', '{order.placed}');
SELECT event_engine.subscribe('gives up', '{order.refused}', 'refuse', options => '{"max_attempts": 1}');
SELECT event_engine.subscribe('tries again', '{order.refused}', 'refuse',
	options => '{"max_attempts": 9, "backoff_ms": 3600000, "backoff_max_ms": 3600000}');
SELECT event_engine.register_workflow('collect', 'collect');
SELECT count(event_engine.start_workflow('collect', jsonb_build_object('i', i))) FROM generate_series(1, 5) AS i;
SELECT count(publish('order.placed')) FROM generate_series(1, 100);
SELECT count(publish('order.refused')) FROM generate_series(1, 3);
SQL
wait_until($node, 'shop', "SELECT count(*) = 100 FROM seen WHERE subscriber = 'see'", 'events are delivered');
wait_until($node, 'shop', 'SELECT count(*) = 3 FROM event_engine.event_dead_letters', 'there are dead letters');
wait_until($node, 'shop', "SELECT count(*) = 3 FROM event_engine.deliveries WHERE status = 'retry'", 'and retries');
wait_until($node, 'shop', "SELECT count(*) = 5 FROM event_engine.workflow_instances WHERE status = 'waiting'",
	'and workflows that wait');
my $receipt = $node->safe_psql('shop',
	"SELECT DISTINCT receipt FROM event_engine.receive_events('pulled', 10, '1 hour')");
like($receipt, qr/^[-0-9a-f]{36}$/, 'and events that a client has received');
$node->safe_psql('shop', <<'SQL');
SELECT event_engine.publish_event('order.placed', jsonb_build_object('i', nextval('numbers')),
	deliver_at => now() + interval '3 s');
SELECT event_engine.pause_subscription('see');
SELECT count(publish('order.placed')) FROM generate_series(1, 50);
SQL

# The new files have come, and the server has not been restarted.
update_fails($node, 'shop', '', 'The server has loaded the library when it started: restart it first.');

# ---- the library is newer than the extension

$node->append_conf('postgresql.conf', "dynamic_library_path = '\$libdir'");
my $offset = -s $node->logfile;
$node->restart;
wait_for_log_line($node,
	qr/waits in database "shop": its library is version \Q$CURRENT\E, the extension there \Q$FIRST\E/,
	$offset, 'the workers wait, and say so');
new_database($node, 'other');
set_up($node, 'other');
$node->safe_psql('other', "SELECT publish('order.placed')");
wait_until($node, 'other', 'SELECT count(*) = 1 FROM seen', 'those of another database have their version');
is($node->safe_psql('shop', "SELECT count(*) FROM event_engine.doctor() WHERE code = 'version_mismatch'"),
	'1', 'doctor() says so');
is($node->safe_psql('shop', "SELECT event_engine.health() ->> 'status'"), 'unhealthy', 'and health()');

$node->safe_psql('shop', "SELECT event_engine.resume_subscription('see')");
$node->safe_psql('shop', <<'SQL');
INSERT INTO event_engine.events (pattern, payload)
	SELECT 'order.placed', jsonb_build_object('i', nextval('numbers')) FROM generate_series(1, 10);
COPY event_engine.events (pattern, payload) FROM PROGRAM 'printf ''order.placed\t{"i": -1}\n''';
SELECT event_engine.publish_events('[{"pattern": "order.placed", "payload": {"i": -2}, "eventId": "minus two"}]');
SELECT event_engine.publish_events('[{"pattern": "order.placed", "payload": {"i": -3}, "eventId": "minus two"}]');
SQL
$node->psql('shop', q(SELECT event_engine.publish_event('order.placed', '{"i": "many"}')), stderr => \my $refused);
like($refused, qr/ERROR:  event "order.placed" is not valid/, 'what is published is validated');
is($node->safe_psql('shop', "SELECT count(*) FROM seen WHERE subscriber = 'see'"), '100', 'nothing is delivered yet');

# ---- the update, under load

my $publishing = load('publisher', 4, 10, <<'SQL');
SELECT public.publish('order.placed');
INSERT INTO event_engine.events (pattern, payload)
	VALUES ('order.placed', jsonb_build_object('i', nextval('public.numbers')));
SQL
my $pulling = load('postgres', 2, 10, 'SELECT pull();');
wait_until($node, 'shop', 'SELECT count(*) > 300 FROM event_engine.events', 'clients publish');
wait_until($node, 'shop', "SELECT count(*) > 50 FROM seen WHERE subscriber = 'pulled'", 'and pull');
$node->safe_psql('shop', 'BEGIN; ALTER EXTENSION event_engine UPDATE; ROLLBACK');
is(version($node, 'shop'), $FIRST, 'an update is rolled back');
$node->safe_psql('shop', 'BEGIN; ALTER EXTENSION event_engine UPDATE; SELECT pg_sleep(0.2); COMMIT');
is(version($node, 'shop'), $CURRENT, 'and done');
wait_for_log_line($node, qr/goes on in database "shop": the extension there is version \Q$CURRENT\E now/,
	$offset, 'the workers go on');
foreach my $client ($publishing, $pulling)
{
	ok($client->{run}->finish, 'a client has ended well');
	like($client->{out}, qr/number of failed transactions: 0 /, 'and nothing has failed') or diag($client->{out});
}

# ---- afterwards

my $placed = "SELECT (payload ->> 'i')::int AS i FROM event_engine.events WHERE pattern = 'order.placed'";
wait_until($node, 'shop', "SELECT count(*) = 0 FROM ($placed EXCEPT SELECT i FROM seen WHERE subscriber = 'see') AS x",
	'all is delivered');
is($node->safe_psql('shop', "SELECT count(*) > 500 AND min(i) = -2 FROM ($placed) AS e"), 't', 'and that is much');
is($node->safe_psql('shop', "SELECT event_engine.ack_events('$receipt')"), '10',
	'what was received before can be acknowledged');
wait_until($node, 'shop', 'SELECT count(x.i) = 10 FROM (SELECT pull()) AS p LEFT JOIN'
	  . " ($placed EXCEPT SELECT i FROM seen WHERE subscriber = 'pulled') AS x ON true", 'all is pulled');
$node->safe_psql('shop', <<'SQL');
SELECT event_engine.resume_subscription('later');
INSERT INTO mended VALUES (true);
SELECT event_engine.make_due('tries again');
SELECT event_engine.redrive_dead_letters(subscriber => 'gives up');
SELECT count(event_engine.publish_event('order.paid', jsonb_build_object('i', i))) FROM generate_series(1, 5) AS i;
SQL
wait_until($node, 'shop', "SELECT count(*) = 0 FROM ($placed EXCEPT SELECT i FROM seen WHERE subscriber = 'later') AS x",
	'who was paused catches up');
wait_until($node, 'shop', "SELECT count(*) = 6 FROM seen WHERE subscriber IN ('tries again', 'gives up')",
	'what had failed is delivered');
wait_until($node, 'shop', "SELECT count(*) = 5 FROM event_engine.workflow_instances WHERE status = 'completed'",
	'workflows are resumed');
is($node->safe_psql('shop', 'SELECT count(*) FROM event_engine.deliveries'), '0', 'nothing is left over');
is( $node->safe_psql('shop',
		"SELECT sum(failed) FROM event_engine.stat_subscriptions WHERE subscriber IN ('see', 'later')"),
	'0', 'nothing came twice');
is( $node->safe_psql('shop', "SELECT event_engine.duties_of('publisher'), event_engine.duties_of('everything')"),
	'{publisher}|{operator,publisher,reader,subscriber}', 'roles have their duties');
is( $node->safe_psql('shop', 'SELECT count(*) FROM pg_init_privs AS p, aclexplode(p.initprivs) AS a'
		  . " WHERE a.grantee IN ('publisher'::regrole, 'everything'::regrole)"), '0', 'which a dump takes along');
is($node->safe_psql('shop', "SELECT event_engine.health() ->> 'status'"), 'healthy', 'all is well');
my $log = slurp_file($node->logfile, $offset);
is(scalar(() = $log =~ /waits in database "shop"/g), 1, 'that they wait was told once');
unlike($log, qr/deadlock detected|terminated by signal|PANIC|TRAP/, 'and nothing bad');

# Not back again.
$node->psql('shop', "ALTER EXTENSION event_engine UPDATE TO '$FIRST'", stderr => \my $back);
like($back, qr/no update path from version "\Q$CURRENT\E" to version "\Q$FIRST\E"/, 'there is no way back');

# ---- a library that is older than the extension

$node->append_conf('postgresql.conf', $OLDER);
$offset = -s $node->logfile;
$node->restart;
wait_for_log_line($node,
	qr/waits in database "shop": its library is version \Q$FIRST\E, the extension there \Q$CURRENT\E/,
	$offset, 'workers that are older wait as well');
$node->stop;

# ---- not preloaded

my $late = new_server('late', preload => 0, conf => $CONF);
$late->safe_psql('postgres', 'CREATE DATABASE shop');
$late->safe_psql('shop', "CREATE EXTENSION event_engine VERSION '$FIRST'");
set_up($late, 'shop');
$late->safe_psql('postgres', 'CREATE ROLE publisher LOGIN');
$late->safe_psql('shop', "CALL event_engine.grant_duty('publisher', 'publisher')");
$late->safe_psql('shop', "SELECT publish('order.placed')");
$late->command_ok([ 'pg_dump', '-d', $late->connstr('shop'), '-Fc', '-f', "$dir/first" ], 'a dump of the first release');
$late->safe_psql('shop', 'SELECT event_engine.process_batch()');
my $session = $late->background_psql('shop');
$session->query_safe("SELECT publish('order.placed')");
is($session->query_safe('SELECT event_engine.process_batch()'), '1', 'a session delivers');
$late->safe_psql('shop', <<'SQL');
SELECT event_engine.register_workflow('collect', 'collect');
SELECT event_engine.start_workflow('collect', '{"i": 1}');
CALL event_engine.run_pending();
SELECT event_engine.publish_event('order.paid', '{"i": 1}', deliver_at => now() + interval '10 ms');
SQL
wait_until($late, 'shop', 'SELECT event_engine.process_batch() IS NOT NULL AND status = \'completed\''
	  . ' FROM event_engine.workflow_instances', 'steps of workflows, too');
$late->safe_psql('shop', 'SELECT event_engine.run_maintenance()');
update_fails($late, 'shop', "-c dynamic_library_path=$dir:\\\$libdir",
	'Reconnect, so that the library is loaded that is installed now.');

# Somebody is at work on what the update alters: it waits, and is in nobody's way.
my $holder = $late->background_psql('shop');
$holder->query_safe("BEGIN; SELECT event_engine.pause_subscription('see')");
my $update = $late->background_psql('shop');
$update->query_until(qr/updating/, "\\echo updating\nALTER EXTENSION event_engine UPDATE;\n");
wait_until($late, 'shop', "SELECT count(*) = 1 FROM pg_stat_activity"
	  . " WHERE query LIKE 'ALTER EXTENSION%' AND wait_event IN ('relation', 'PgSleep')", 'the update waits');
$session->query_safe("SET statement_timeout = '5s'; SELECT publish('order.placed'); RESET statement_timeout");
$holder->query_safe('ROLLBACK');
$holder->quit;
wait_until($late, 'shop', "SELECT extversion = '$CURRENT' FROM pg_extension WHERE extname = 'event_engine'",
	'and is done when it may be');
$update->quit;
is($session->query_safe('SELECT event_engine.process_batch()'), '1', 'and goes on after the update');
is($session->query_safe('SELECT count(*) FROM seen'), '3', 'in full');
$session->quit;

# A worker that somebody has started with what was installed then.
$late->append_conf('postgresql.conf', $OLDER);
$late->reload;
$offset = -s $late->logfile;
wait_until($late, 'shop', "SELECT current_setting('dynamic_library_path') <> '\$libdir'", 'the older library is back');
$session = $late->background_psql('shop', on_error_stop => 0);
$session->query_until(qr/starting/, "\\echo starting\nSELECT event_engine.start_event_worker();\n");
wait_for_log_line($late, qr/waits in database "shop": its library is version \Q$FIRST\E/, $offset, 'a worker waits');
$late->append_conf('postgresql.conf', "dynamic_library_path = '\$libdir'");
$late->reload;
$late->safe_psql('shop', "SELECT publish('order.placed')");
wait_until($late, 'shop', 'SELECT count(*) = 4 FROM seen', 'and is started again with the newer one');
$session->quit;

# ---- a dump of the first release

$late->safe_psql('postgres', 'CREATE DATABASE restored');
$late->safe_psql('restored', "CREATE EXTENSION event_engine VERSION '$FIRST'");
$late->command_ok([ 'pg_restore', '--exit-on-error', '-d', $late->connstr('restored'), "$dir/first" ], 'it is restored');
$late->safe_psql('restored', 'ALTER EXTENSION event_engine UPDATE');
$late->safe_psql('restored', q(SET ROLE publisher; SELECT event_engine.publish_event('order.placed', '{"i": 0}')));
is($late->safe_psql('restored', 'SELECT event_engine.process_batch()'), '2', 'what it held is delivered, and what is new');
is($late->safe_psql('restored', "SELECT event_engine.duties_of('publisher')"), '{publisher}', 'and who had a duty has it');
$late->stop;
done_testing();

# The library, saying that it is of the first release.
sub older_library
{
	my ($libdir) = run_command([ 'pg_config', '--pkglibdir' ]);
	my ($library) = glob "$libdir/event_engine.*";
	my ($suffix) = $library =~ /(\.\w+)$/;
	my $bytes = slurp_file($library);

	is(length $CURRENT, length $FIRST, "$CURRENT is as long as $FIRST");
	ok($bytes =~ s/(?<=\0)\Q$CURRENT\E(?=\0)/$FIRST/g, 'the library says its version');
	open my $file, '>:raw', "$dir/event_engine$suffix" or die $!;
	print $file $bytes;
	close $file or die $!;
	return;
}

sub set_up
{
	my ($server, $database) = @_;

	$server->safe_psql($database, <<'SQL');
SELECT event_engine.register_event_definition('order.placed', '{"properties": {"i": {"type": "integer"}}}');
SELECT event_engine.register_event_definition('order.refused');
SELECT event_engine.register_event_definition('order.paid');
CREATE SEQUENCE numbers;
GRANT USAGE ON SEQUENCE numbers TO PUBLIC;
CREATE TABLE seen (subscriber text, i int, PRIMARY KEY (subscriber, i));
CREATE TABLE mended (really boolean);
CREATE FUNCTION publish(pattern text) RETURNS uuid LANGUAGE sql AS $$
	SELECT event_engine.publish_event(pattern, jsonb_build_object('i', nextval('public.numbers'))) $$;
CREATE FUNCTION see(e event_engine.event) RETURNS void LANGUAGE sql AS $$
	INSERT INTO public.seen VALUES ('see', (e.payload ->> 'i')::int) $$;
CREATE FUNCTION see_later(e event_engine.event) RETURNS void LANGUAGE sql AS $$
	INSERT INTO public.seen VALUES ('later', (e.payload ->> 'i')::int) $$;
-- two subscriptions, one row for each
CREATE FUNCTION refuse(e event_engine.event) RETURNS void LANGUAGE plpgsql AS $$ BEGIN
	IF NOT EXISTS (SELECT FROM public.mended) THEN RAISE 'refused'; END IF;
	INSERT INTO public.seen SELECT x, (e.payload ->> 'i')::int FROM unnest('{tries again,gives up}'::text[]) AS x
	WHERE NOT EXISTS (SELECT FROM public.seen WHERE subscriber = x AND i = (e.payload ->> 'i')::int) LIMIT 1;
END $$;
CREATE FUNCTION pull() RETURNS void LANGUAGE plpgsql AS $$
DECLARE r record; BEGIN
	FOR r IN SELECT receipt, array_agg((payload ->> 'i')::int) AS numbers
		FROM event_engine.receive_events('pulled', 20) GROUP BY receipt
	LOOP
		INSERT INTO public.seen SELECT 'pulled', n FROM unnest(r.numbers) AS n;
		PERFORM event_engine.ack_events(r.receipt);
	END LOOP;
END $$;
CREATE FUNCTION collect(i event_engine.workflow_instance, r event_engine.workflow_resumption)
	RETURNS jsonb LANGUAGE sql AS $$
SELECT CASE i.step WHEN 'start' THEN
	event_engine.wait_for('order.paid', '$.payload.i == $workflow.input.i', next_step => 'paid')
	ELSE event_engine.complete((r.event).payload) END $$;
SELECT event_engine.subscribe('see', '{order.placed}', 'see');
SQL
	return;
}

sub version
{
	my ($server, $database) = @_;

	return $server->safe_psql($database, "SELECT extversion FROM pg_extension WHERE extname = 'event_engine'");
}

sub update_fails
{
	my ($server, $database, $options, $hint) = @_;
	my $error;
	{
		local $ENV{PGOPTIONS} = $options;
		$server->psql($database, 'ALTER EXTENSION event_engine UPDATE', stderr => \$error);
	}
	like($error,
		qr/cannot update event_engine to version \Q$CURRENT\E: this session uses the library of version \Q$FIRST\E/,
		'the update is refused');
	like($error, qr/HINT:  \Q$hint\E/, 'with a hint');
	is(version($server, $database), $FIRST, 'and the version is what it was');
	return;
}

# pgbench, in the background.
sub load
{
	my ($role, $clients, $seconds, $script) = @_;
	my $file = "$dir/load-$role.sql";
	my %client = (out => '');

	append_to_file($file, $script);
	$client{run} = IPC::Run::start([ 'pgbench', '-h', $node->host, '-p', $node->port, '-U', $role, '-n',
		'-c', $clients, '-T', $seconds, '-R', 50 * $clients, '-f', $file, 'shop' ], '>', \$client{out}, '2>&1');
	return \%client;
}
