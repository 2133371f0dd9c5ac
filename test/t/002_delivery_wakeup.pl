# Who has to be woken is: by a commit, by a prepared commit of which nobody
# tells, while an executor retires, while there is no router, for a role that
# has never had an executor; and a client that listens.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib";

use EventEngine;
use PostgreSQL::Test::Utils;
use Test::More;

# the poll is out of the way, so that what is delivered was told of
my $node = new_server('wakeup', conf => <<'CONF');
event_engine.delivery_poll_interval = 1h
event_engine.worker_idle_timeout = 100ms
max_prepared_transactions = 10
log_statement = none
CONF

new_database($node, 'shop');
$node->safe_psql('shop', <<'SQL');
CREATE TABLE seen (n serial, subscriber text, i int, role name DEFAULT current_user, UNIQUE (subscriber, i));
GRANT INSERT ON seen TO PUBLIC;
GRANT USAGE ON SEQUENCE seen_n_seq TO PUBLIC;
CREATE FUNCTION see(e event_engine.event) RETURNS void LANGUAGE sql AS
	$$ INSERT INTO public.seen (subscriber, i) VALUES ('mine', (e.payload ->> 'i')::int) $$;
CREATE FUNCTION see_other(e event_engine.event) RETURNS void LANGUAGE sql AS
	$$ INSERT INTO public.seen (subscriber, i) VALUES ('other', (e.payload ->> 'i')::int) $$;
SELECT event_engine.register_event_definition('wake.a');
SELECT event_engine.register_event_definition('wake.b');
SELECT event_engine.subscribe('mine', '{wake.a}', 'see');
SQL
my $i = 0;

# ---- the executor retires every tenth of a second: publish around that moment

delivered(publish('wake.a'), 'the first one');
for my $pause (0, 60, 90, 95, 100, 105, 110, 150, 300)
{
	my $last = publish_after($pause, 10);
	delivered($last, "published every $pause ms");
}
is($node->safe_psql('shop', "SELECT count(*) FROM seen"), $i, 'none was forgotten on the way');
wait_until($node, 'postgres',
	"SELECT count(*) = 0 FROM pg_stat_activity WHERE backend_type = 'event_engine executor'", 'an idle executor ends');

# ---- subscriptions and definitions that come while it retires

for my $round (1 .. 8)
{
	$node->safe_psql('shop', "SELECT event_engine.register_event_definition('wake.new$round')");
	publish('wake.a');
	select undef, undef, undef, 0.08 + 0.01 * $round;
	$node->safe_psql('shop', "SELECT event_engine.subscribe('new$round', '{wake.new$round}', 'see')");
	delivered(publish("wake.new$round"), "a subscription made while the executor may be retiring ($round)");
}

# ---- a role that has never had an executor

$node->safe_psql('shop', <<'SQL');
CREATE ROLE other LOGIN;
CALL event_engine.grant_duty('subscriber', 'other');
SET ROLE other;
SELECT event_engine.subscribe('other', '{wake.b}', 'see_other');
SQL
my $id = publish('wake.b');
wait_until($node, 'shop', "SELECT count(*) = 1 FROM seen WHERE i = $id AND subscriber = 'other' AND role = 'other'",
	'an executor for a role without work until now');

# ---- a commit, and what is seen of it by a session that did not preload: none; so no router

my $router = $node->safe_psql('postgres', "SELECT pid FROM pg_stat_activity WHERE backend_type = 'event_engine router'");
wait_until($node, 'postgres',
	"SELECT count(*) = 0 FROM pg_stat_activity WHERE backend_type = 'event_engine executor'", 'no executor runs');
kill 'STOP', $router;
$node->safe_psql('postgres', "SELECT pg_terminate_backend($router)");
$id = publish('wake.a');
kill 'CONT', $router;
delivered($id, 'published while the router was dying');
delivered(publish('wake.a'), 'and after it');

# ---- a client that listens

$node->safe_psql('shop', "SELECT event_engine.subscribe('bell', '{wake.a}', channel => 'wake up')");
my $listener = $node->background_psql('shop');
$listener->query_safe('LISTEN "wake up"');
publish('wake.a');
like(heard($listener), qr/Asynchronous notification "wake up"/, 'a client is notified');
$listener->quit;

# ---- later, and later than the poll would have been: only the time tells

$node->safe_psql('shop', "SELECT event_engine.publish_event('wake.a', jsonb_build_object('i', " . ++$i
	  . "), deliver_at => clock_timestamp() + interval '1.5 s')");
delivered($i, 'an event whose time comes while the executor sleeps');

# ---- PREPARE, and COMMIT PREPARED later, in a session that published nothing

$node->append_conf('postgresql.conf', 'event_engine.delivery_poll_interval = 100ms');
$node->reload;
$id = ++$i;
$node->safe_psql('shop', <<"SQL");
BEGIN;
SELECT event_engine.publish_event('wake.a', '{"i": $id}');
PREPARE TRANSACTION 'late';
SQL
delivered(publish('wake.a'), 'others go on');
wait_until($node, 'postgres',
	"SELECT count(*) = 0 FROM pg_stat_activity WHERE backend_type = 'event_engine executor'", 'until all is idle');
is($node->safe_psql('shop', "SELECT count(*) FROM seen WHERE i = $id"), '0', 'what is prepared is not seen');
$node->restart;
$node->safe_psql('postgres', 'SELECT 1');
$node->safe_psql('shop', "COMMIT PREPARED 'late'");
delivered($id, 'committed after a restart, by another session');
$id = ++$i;
$node->safe_psql('shop', "BEGIN; SELECT event_engine.publish_event('wake.a', '{\"i\": $id}'); PREPARE TRANSACTION 'never'");
$node->safe_psql('shop', "ROLLBACK PREPARED 'never'");
delivered(publish('wake.a'), 'and one that is rolled back');
is($node->safe_psql('shop', "SELECT count(*) FROM seen WHERE i = $id"), '0', 'is not seen');
is($node->safe_psql('shop', "SELECT count(*) FROM seen WHERE subscriber = 'mine' AND i <> $id") + 1,
	$i - 1, 'each once');
$node->stop;
done_testing();

sub publish
{
	my ($pattern) = @_;

	$node->safe_psql('shop', "SELECT event_engine.publish_event('$pattern', '{\"i\": " . ++$i . "}')");
	return $i;
}

# Some events by one session, so many milliseconds apart.
sub publish_after
{
	my ($pause, $times) = @_;
	my $sql = '';

	$sql .= "SELECT event_engine.publish_event('wake.a', '{\"i\": " . ++$i . "}'); SELECT pg_sleep($pause / 1000.0);\n"
	  for 1 .. $times;
	$node->safe_psql('shop', $sql);
	return $i;
}

sub delivered
{
	my ($n, $what) = @_;

	return wait_until($node, 'shop', "SELECT count(*) = 1 FROM seen WHERE i = $n", $what);
}

# What psql says of notifications, once there are any.
sub heard
{
	my ($session) = @_;

	for (1 .. 600)
	{
		my $out = $session->query('SELECT pg_sleep(0.1)');

		return $out if $out =~ /notification/;
	}
	return '';
}
