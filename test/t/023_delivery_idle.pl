# Subscriptions to which nothing is delivered get on in the log all the same:
# their positions are stored now and then, and when their executor ends.
use strict;
use warnings;

use EventEngine;
use Test::More;

my $node = new_server('main', conf => <<'CONF');
autovacuum = off
event_engine.delivery_poll_interval = 200ms
CONF
new_database($node, 'shop');
sub query { return $node->safe_psql('shop', $_[0]); }
sub setting
{
	my ($name, $value) = @_;
	$node->append_conf('postgresql.conf', "event_engine.$name = $value");
	$node->reload;
	return;
}
sub publish
{
	my $pattern = shift;
	query("SELECT count(event_engine.publish_event('$pattern', '{}')) FROM generate_series(1, 200)");
	return query('SELECT max(seq) FROM event_engine.events');
}
query(<<'SQL');
SELECT event_engine.register_event_definition(p) FROM unnest('{busy,rare}'::text[]) AS p;
CREATE TABLE seen (n integer);
CREATE FUNCTION see(e event_engine.event) RETURNS void LANGUAGE sql AS $$ INSERT INTO seen VALUES (1) $$;
SELECT event_engine.subscribe('busy', '{busy}', 'see'), event_engine.subscribe('rare', '{rare}', 'see');
CREATE VIEW positions AS
	SELECT s.subscriber, x.lane, max(x.seq) AS seq, max(x.move) AS move FROM event_engine.subscriptions AS s
	JOIN (SELECT subscription_number, lane, move, seq FROM event_engine.subscription_cursors
		UNION ALL SELECT subscription_number, lane, move, seq FROM event_engine.subscription_cursor_moves) AS x
		ON x.subscription_number = s.number AND x.lane = 2 GROUP BY 1, 2;
SQL
my $rare = q{FROM positions WHERE subscriber = 'rare'};

# Now and then; and when nothing has come, nothing is written.
setting('delivery_position_interval', '200ms');
my $last = publish('busy');
wait_until($node, 'shop', "SELECT seq >= $last $rare", 'its position is stored');
my $move = query("SELECT move $rare");
query('SELECT event_engine.run_maintenance()');
$last = publish('busy');
wait_until($node, 'shop', "SELECT seq >= $last $rare", 'and stored again');
cmp_ok(query("SELECT move $rare"), '<=', $move + 5, 'but not for nothing');
my $before = query('SELECT sum(move) FROM positions');
my $started = query('SELECT clock_timestamp()');
$node->poll_query_until('shop', "SELECT clock_timestamp() > '$started'::timestamptz + interval '2 s'");
is(query('SELECT sum(move) FROM positions'), $before, 'where nothing comes nothing is stored');

# Nothing is left behind by it while somebody holds a snapshot.
my $holder = $node->background_psql('shop');
$holder->query_safe('BEGIN ISOLATION LEVEL REPEATABLE READ');
$holder->query_safe('SELECT count(*) FROM seen');
for my $round (1 .. 15)
{
	$last = publish('busy');
	wait_until($node, 'shop', "SELECT seq >= $last $rare", "stored, round $round") or last;
}
query('SELECT event_engine.run_maintenance()');
is(query('SELECT count(*) FROM event_engine.subscription_cursor_moves'), '0', 'the moves are gathered');
cmp_ok(query(q{SELECT pg_relation_size('event_engine.subscription_cursors') / 8192}), '<', 4, 'and are few versions of a row');
$holder->quit;

# When the executor has had nothing to do for long enough, and ends.
setting('delivery_position_interval', "'1d'");
$last = publish('busy');
wait_until($node, 'shop', 'SELECT count(*) = 17 * 200 + 200 FROM seen', 'all is delivered');
cmp_ok(query("SELECT seq $rare"), '<', $last, 'it is not stored in between');
setting('worker_idle_timeout', '500ms');
wait_until($node, 'shop', "SELECT seq >= $last $rare", 'it is stored when the executor ends');
setting('worker_idle_timeout', "'1d'");

# When the server is shut down; what was looked at by then.
$last = publish('busy');
wait_until($node, 'shop', q{SELECT count(*) = 1 FROM event_engine.stat_workers WHERE kind = 'executor' AND state = 'running'}, 'an executor');
query(q{SELECT event_engine.publish_event('rare', '{}')});
wait_until($node, 'shop', 'SELECT count(*) = 3801 FROM seen', 'the rare one is delivered');
$last = publish('busy');
query(q{SELECT event_engine.publish_event('busy', '{}', priority => 'high')});
my $behind = query("SELECT seq $rare");
query(q{SELECT event_engine.update_subscription('rare', options => '{"batch_size": 7}')});
wait_until($node, 'shop', q{SELECT count(*) = 4002 FROM seen}, 'all is delivered');
wait_until($node, 'shop', q{SELECT count(*) = 1 FROM event_engine.stat_workers WHERE kind = 'executor' AND state = 'running'}, 'and it rests');
$node->stop('fast');
$node->start;
cmp_ok(query("SELECT seq $rare"), '>=', $last, 'it is stored at an orderly shutdown');

# While its executor sleeps, which is started for that when the log has grown.
query(q{SELECT event_engine.subscribe('alone', '{rare}', channel => 'bell')});
query('CREATE ROLE sleeper LOGIN; GRANT ALL ON SCHEMA public TO sleeper');
query(q{CALL event_engine.grant_duty('subscriber', 'sleeper')});
query(q{SET ROLE sleeper; SELECT event_engine.subscribe('sleeps', '{rare}', channel => 'bell')});
setting('worker_idle_timeout', '300ms');
wait_until($node, 'shop', q{SELECT count(*) = 0 FROM event_engine.stat_workers WHERE kind = 'executor' AND role = 'sleeper'}, 'it sleeps');
$last = publish('busy') for 1 .. 6;
setting('delivery_position_interval', '500ms');
wait_until($node, 'shop', "SELECT max(seq) > $last - 1000 FROM positions WHERE subscriber = 'sleeps'", 'one that sleeps gets on too');

# In a session, once it has come far.
$node->append_conf('postgresql.conf', 'event_engine.delivery_enabled = off');
$node->restart;
$behind = query("SELECT seq $rare");
publish('busy') for 1 .. 6;
query('SELECT event_engine.process_batch(10000)');
cmp_ok(query("SELECT seq $rare"), '>', $behind + 1000, 'and by process_batch()');
$node->stop;
done_testing();
