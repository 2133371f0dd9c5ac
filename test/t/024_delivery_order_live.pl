# The order of keys where handlers fail, while the number of executors changes
# and while order is asked for and not any more.
use strict;
use warnings;

use EventEngine;
use Test::More;

my $node = new_server('main', conf => <<'CONF');
event_engine.delivery_batch_time = 20ms
event_engine.worker_executors_per_role = 3
max_worker_processes = 20
log_statement = none
CONF
new_database($node, 'shop');
sub query { return $node->safe_psql('shop', $_[0]); }
query(<<'SQL');
SELECT event_engine.register_event_definition('job');
CREATE TABLE seen (at bigint GENERATED ALWAYS AS IDENTITY, seq bigint, key text, n integer, pid integer);
-- of so many events one fails until it has been written down as failed
CREATE TABLE mood (one_of integer);
INSERT INTO mood VALUES (100);
CREATE FUNCTION work(e event_engine.event) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
	INSERT INTO seen (seq, key, n, pid) VALUES (e.seq, e.partition_key, (e.payload ->> 'n')::integer, pg_backend_pid());
	IF (e.payload ->> 'n')::integer % (SELECT one_of FROM mood) = 0
		AND NOT EXISTS (SELECT FROM event_engine.deliveries AS d WHERE d.seq = e.seq AND d.attempts > 0)
	THEN RAISE 'not now'; END IF;
END $$;
SELECT event_engine.subscribe('worker', '{job}', 'work', options =>
	'{"ordered": true, "backoff_ms": 10, "backoff_max_ms": 50, "max_attempts": 1000}');
CREATE PROCEDURE publish(who text, first integer, last integer) LANGUAGE plpgsql AS $$
BEGIN
	FOR i IN first .. last LOOP
		PERFORM event_engine.publish_event('job', jsonb_build_object('n', i), partition_key => who || i % 15,
			priority => (CASE WHEN i % 50 = 1 THEN 'high' ELSE 'normal' END)::event_engine.event_priority);
		COMMIT;
	END LOOP;
END $$;
-- what was handled twice, or of one key out of order
CREATE VIEW wrong AS
	SELECT s.* FROM (SELECT seq, key, n, count(*) OVER (PARTITION BY seq) AS times,
		lag(n) OVER (PARTITION BY key ORDER BY at) >= n AS late FROM seen) AS s
	WHERE s.times > 1 OR s.late;
SQL

sub options
{
	my $options = shift;
	query("SELECT event_engine.update_subscription('worker', options => '$options')");
	return;
}

# What is done again and again, one after the other, while three publish.
sub under_load
{
	my ($n, @changes) = @_;
	my $done = 0;
	my @publishers = map
	{
		my $session = $node->background_psql('shop');
		$session->query_until(qr/begun/, "\\echo begun\nCALL publish('$_', 1, $n);\n");
		$session
	} qw(a b c);

	while ($done < @changes
		|| query(q{SELECT count(*) FROM pg_stat_activity WHERE state = 'active' AND query LIKE 'CALL publish%'}) > 0)
	{
		options($changes[ $done++ % @changes ]);
		$node->poll_query_until('shop', q{SELECT jsonb_array_length(epochs) < 3 FROM event_engine.subscriptions})
		  or die 'epochs do not end';
	}
	$_->quit foreach @publishers;
	note("$done changes");
	wait_until($node, 'shop', 'SELECT count(*) >= ' . 3 * $n . ' FROM seen', 'all is handled')
	  or diag(query('SELECT count(*), (SELECT count(*) FROM event_engine.deliveries) FROM seen'));
	is(query('SELECT count(*), count(DISTINCT seq) FROM seen'), 3 * $n . '|' . 3 * $n, '... each once');
	wait_until($node, 'shop', 'SELECT count(*) = 0 FROM event_engine.deliveries', 'nothing is left');
	return;
}

# Failing handlers: the events behind one that failed go with its key, wherever
# that is delivered next.
under_load(3000, map { "{\"concurrency\": $_}" } (4, 2, 1, 4, 3, 1));
is(query('SELECT count(*) FROM wrong'), '0', 'in the order of the keys, with 1 % failing');
cmp_ok(query('SELECT count(DISTINCT pid) FROM seen'), '>', 1, 'by several executors');
cmp_ok(query(q{SELECT failed FROM event_engine.stat_subscriptions}), '>=', 90, 'failures there were');
is(query('SELECT count(*) FROM event_engine.held_up_keys'), '0', 'no key is held up');

# Asked for order and not any more: where nothing fails it is kept all the time.
query('TRUNCATE seen; UPDATE mood SET one_of = 1000000');
under_load(3000, '{"ordered": false}', '{"ordered": true, "concurrency": 3}', '{"ordered": false, "concurrency": 2}', '{"ordered": true}');
# urgent ones overtake others where order is not asked for
is(query(q{SELECT count(*) FROM (SELECT lag(n) OVER (PARTITION BY key ORDER BY at) >= n AS late FROM seen WHERE n % 50 <> 1) AS s WHERE late}),
	'0', 'in order, of whatever kind the lanes were');

# From the moment that order is asked for it holds, also behind events that
# failed before that.
query('TRUNCATE seen; UPDATE mood SET one_of = 3');
options('{"ordered": false, "concurrency": 2}');
query(q{CALL publish('k', 1, 500)});
options('{"ordered": true, "concurrency": 4}');
query(q{CALL publish('k', 1001, 1500)});
wait_until($node, 'shop', 'SELECT count(*) = 1000 FROM seen', 'all is handled');
is(query('SELECT count(*) FROM (SELECT lag(n) OVER (PARTITION BY key ORDER BY at) >= n AS late FROM seen WHERE n > 1000) AS s WHERE late'),
	'0', 'what is published after the change is in order');
is(query('SELECT count(*), count(DISTINCT seq) FROM seen'), '1000|1000', '... each once');

# What is parked when order is not asked for any more is not left behind.
query(q{CALL publish('k', 2001, 2500)});
options('{"ordered": false}');
wait_until($node, 'shop', 'SELECT count(*) = 1500 FROM seen', 'all is handled');
wait_until($node, 'shop', 'SELECT count(*) = 0 FROM event_engine.deliveries', 'nothing is left');
is(query('SELECT count(*), count(DISTINCT seq) FROM seen'), '1500|1500', '... each once');
$node->stop;
done_testing();
