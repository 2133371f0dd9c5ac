# A subscription spread over several executors, and spread otherwise while
# events flow: each event is handled once, and those of a key in order.
use strict;
use warnings;

use EventEngine;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = new_server('main', conf => <<'CONF');
event_engine.delivery_batch_time = 20ms
event_engine.worker_idle_timeout = 600s
event_engine.worker_executors_per_role = 3
event_engine.worker_helpers_per_role = 0
max_worker_processes = 20
CONF
new_database($node, 'shop');
$node->safe_psql('shop', <<'SQL');
SELECT event_engine.register_event_definition('job');
CREATE TABLE seen (at serial, seq bigint, key text, n integer, pid integer);
CREATE FUNCTION work(e event_engine.event) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
	INSERT INTO seen (seq, key, n, pid)
		VALUES (e.seq, e.partition_key, (e.payload ->> 'n')::integer, pg_backend_pid());
	PERFORM pg_advisory_xact_lock_shared(1) WHERE e.payload ? 'wait';
END $$;
SELECT event_engine.subscribe('worker', '{job}', 'work', options => '{"concurrency": 4}');
CREATE SEQUENCE published;
CREATE PROCEDURE publish(n integer, key text) LANGUAGE plpgsql AS $$
BEGIN
	FOR i IN 1 .. n LOOP
		PERFORM event_engine.publish_event('job', jsonb_build_object('n', i),
			partition_key => key || i % 20,
			priority => (CASE WHEN key = 'none' THEN 'low' ELSE 'normal' END)::event_engine.event_priority);
		COMMIT;
	END LOOP;
END $$;
-- what was handled twice, or of one key and publisher out of order
CREATE VIEW wrong AS
	SELECT s.* FROM (SELECT seq, key, count(*) OVER (PARTITION BY seq) AS times,
		lag(n) OVER (PARTITION BY key ORDER BY at) >= n AS late FROM seen) AS s
	WHERE s.times > 1 OR s.late;
SQL
my $executors = q{SELECT count(*) FROM event_engine.stat_workers WHERE kind = 'executor' AND state <> 'starting'};
wait_until($node, 'shop', "SELECT ($executors) = 3", 'as many executors as a role may have');

# Keys are spread, and one that is slow holds up its own executor only.
my $gate = $node->background_psql('shop');
$gate->query_safe('SELECT pg_advisory_lock(1)');
$node->safe_psql('shop', q{SELECT event_engine.publish_event('job', '{"n": 1, "wait": true}', partition_key => 'slow')});
wait_until($node, 'shop', q{SELECT count(*) = 1 FROM pg_stat_activity
	WHERE backend_type = 'event_engine executor' AND wait_event = 'advisory'}, 'a handler waits');
$node->safe_psql('shop', q{SELECT count(event_engine.publish_event('job', '{"n": 1}', partition_key => 'quick' || i))
	FROM generate_series(1, 100) AS i});
wait_until($node, 'shop', q{SELECT count(*) > 20 FROM seen}, 'others go on');
is($node->safe_psql('shop', q{SELECT count(*) FROM seen WHERE key = 'slow'}), '0', '... while it waits');
$gate->quit;
wait_until($node, 'shop', q{SELECT count(*) = 101 FROM seen}, 'all is handled');
cmp_ok($node->safe_psql('shop', 'SELECT count(DISTINCT pid) FROM seen'), '==', 3, 'by all executors');
is($node->safe_psql('shop', 'SELECT count(*) FROM wrong'), '0', 'once');
is($node->safe_psql('shop', q{SELECT delivered FROM event_engine.stat_subscriptions}), '101', 'and counted');

# The number of lanes changes under load, again and again.
$node->safe_psql('shop', 'TRUNCATE seen');
my @publishers = map
{
	my $session = $node->background_psql('shop');
	$session->query_until(qr/begun/, "\\echo begun\nCALL publish(5000, '$_');\n");
	$session
} qw(a b none);
my $changes = 0;
while ($changes < 3
	|| $node->safe_psql('shop', q{SELECT count(*) FROM pg_stat_activity WHERE state = 'active' AND query LIKE 'CALL publish%'}) > 0)
{
	my $n = (1, 4, 2, 7, 3)[ $changes++ % 5 ];
	$node->safe_psql('shop', qq{SELECT event_engine.update_subscription('worker', options => '{"concurrency": $n}')});
	$node->poll_query_until('shop', q{SELECT jsonb_array_length(epochs) < 3 FROM event_engine.subscriptions})
	  or die 'epochs do not end';
}
note("concurrency was changed $changes times");
$_->quit foreach @publishers;
wait_until($node, 'shop', 'SELECT count(*) = 15000 FROM seen', 'all is handled');
is($node->safe_psql('shop', 'SELECT count(*) FROM wrong'), '0', '... once, and in order');
wait_until($node, 'shop', q{SELECT jsonb_array_length(epochs) = 1 FROM event_engine.subscriptions}, 'one epoch is left');
is($node->safe_psql('shop', q{SELECT delivered FROM event_engine.stat_subscriptions}), '15101', 'totals have gone along');
is($node->safe_psql('shop', q{SELECT count(*) FROM (SELECT subscription_number, lane FROM event_engine.subscription_cursors
		UNION SELECT subscription_number, lane FROM event_engine.subscription_cursor_moves) AS l
		JOIN event_engine.subscriptions AS s ON s.number = l.subscription_number
		WHERE l.lane / 1024 <> s.epoch}),
	'0', 'cursors of epochs that are over are gone');

# A restart in the middle of a change.
$node->safe_psql('shop', q{TRUNCATE seen; SELECT event_engine.update_subscription('worker', options => '{"concurrency": 4}')});
$node->safe_psql('shop', q{SELECT count(event_engine.publish_event('job', jsonb_build_object('n', i), partition_key => 'k' || i % 7))
	FROM generate_series(1, 3000) AS i});
$node->safe_psql('shop', q{SELECT event_engine.update_subscription('worker', options => '{"concurrency": 2}');
	SELECT count(event_engine.publish_event('job', jsonb_build_object('n', 3000 + i), partition_key => 'k' || i % 7))
	FROM generate_series(1, 1000) AS i;
	SELECT event_engine.update_subscription('worker', options => '{"concurrency": 1}');});
$node->stop('immediate');
$node->start;
wait_until($node, 'shop', 'SELECT count(*) = 4000 FROM seen', 'all is handled after a crash');
is($node->safe_psql('shop', 'SELECT count(*) FROM wrong'), '0', '... once, and in order');
wait_until($node, 'shop', q{SELECT jsonb_array_length(epochs) = 1 FROM event_engine.subscriptions}, 'and the changes are done');

# In a session, where there are no executors.
$node->append_conf('postgresql.conf', 'event_engine.delivery_enabled = off');
$node->restart;
$node->safe_psql('shop', q{TRUNCATE seen;
	SELECT count(event_engine.publish_event('job', jsonb_build_object('n', i), partition_key => 'k' || i % 7))
	FROM generate_series(1, 100) AS i});
$node->safe_psql('shop', q{SELECT event_engine.update_subscription('worker', options => '{"concurrency": 3}')});
$node->safe_psql('shop', q{SELECT count(event_engine.publish_event('job', jsonb_build_object('n', 100 + i), partition_key => 'k' || i % 7))
	FROM generate_series(1, 100) AS i});
is($node->safe_psql('shop', 'SELECT event_engine.process_batch()'), '200', 'a session goes through two epochs');
is($node->safe_psql('shop', 'SELECT count(*) FROM wrong'), '0', '... in order');
is($node->safe_psql('shop', 'SELECT event_engine.process_batch()'), '0', 'and nothing is left');

$node->stop;
done_testing();
