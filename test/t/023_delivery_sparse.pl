# Very many subscriptions that demand a value are served by one look at the
# log: each gets its events, all of them and each once, whatever commits late,
# is rolled back, fails, is changed, killed or restarted meanwhile.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../lib";
use EventEngine;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = new_server('main', conf => "max_prepared_transactions = 20\nmax_connections = 60\nevent_engine.worker_executors_per_role = 2\nevent_engine.delivery_position_interval = 2s");
new_database($node, 'shop');

sub query { return $node->safe_psql('shop', $_[0]); }

query(<<'SQL');
SELECT event_engine.register_event_definition(p) FROM unnest('{order.paid,order.sent,stock.low}'::text[]) AS p;
CREATE TABLE trouble (share float8);
INSERT INTO trouble VALUES (0.02);
CREATE FUNCTION note(e event_engine.event) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
	IF random() < (SELECT t.share FROM trouble AS t) THEN RAISE 'not now'; END IF;
END $$;
CREATE FUNCTION subscribe_all(prefix text, n integer) RETURNS bigint LANGUAGE sql AS $$
	SELECT count(event_engine.subscribe(prefix || i,
		(ARRAY['{order.paid}', '{order.*}', '{order.sent,stock.#}'])[1 + i % 3]::text[], 'note',
		filter => CASE WHEN i % 4 > 0 THEN format('$.payload.customer == "c%s"', i % 80)
			|| CASE WHEN i % 8 = 1 THEN ' && $.payload.n > 500' ELSE '' END END,
		filters => CASE WHEN i % 4 = 0 THEN jsonb_build_array(jsonb_build_object('field', '$.payload.customer',
			'operator', 'equals', 'value', 'c' || i % 80)) END,
		options => '{"processing_log": true, "max_attempts": 50, "backoff_ms": 20, "backoff_max_ms": 100, "breaker_threshold": 0}'))
	FROM generate_series(1, n) AS i
$$;
SELECT subscribe_all('s', 300);
-- an ordinary one among them
SELECT event_engine.subscribe('all', '{#}', 'note', options => '{"processing_log": true,
	"max_attempts": 50, "backoff_ms": 20, "backoff_max_ms": 100, "breaker_threshold": 0}');
-- what was expected when all was settled is not asked of the filters again
CREATE TABLE asked (id uuid PRIMARY KEY);
CREATE TABLE answered (subscriber text, id uuid);
CREATE VIEW expected AS
	SELECT * FROM answered UNION ALL
	SELECT s.subscriber, e.id FROM event_engine.events AS e, event_engine.subscriptions AS s
	WHERE NOT EXISTS (SELECT FROM asked AS a WHERE a.id = e.id) AND event_engine.event_matches(ROW(e.*)::event_engine.event, s.match, s.filter_path, s.filters);
CREATE VIEW got AS
	SELECT l.subscriber, l.id, count(*) AS times FROM event_engine.event_processing_log AS l
	WHERE l.outcome = 'delivered' GROUP BY 1, 2;
CREATE VIEW missing AS SELECT * FROM expected EXCEPT SELECT g.subscriber, g.id FROM got AS g;
SQL

my $publish = q{SELECT event_engine.publish_event(
	(ARRAY['order.paid', 'order.sent', 'stock.low'])[1 + :n % 3],
	jsonb_build_object('customer', CASE WHEN :n % 7 = 0 THEN jsonb_build_array('c' || :k, 'c' || :k + 1)
		ELSE to_jsonb('c' || :k) END, 'n', :n),
	priority => CASE WHEN :n % 11 = 0 THEN 'high' WHEN :n % 13 = 0 THEN 'low' ELSE 'normal' END::event_engine.event_priority);
};
my $random = "\\set n random(1, 1000)\n\\set k random(1, 120)\n\\set ms random(1, 300)\n\\set id random(1, 1000000000)\n";
my %scripts = (
	plain => $random . $publish,
	late => $random . "BEGIN;\n$publish\\sleep :ms ms\n${publish}COMMIT;\n",
	undone => $random . "BEGIN;\n$publish\\sleep :ms ms\nROLLBACK;\n",
	prepared => $random . "BEGIN;\n${publish}PREPARE TRANSACTION 'p:id';\n\\sleep :ms ms\nCOMMIT PREPARED 'p:id';\n");
for my $name (keys %scripts)
{
	append_to_file($node->basedir . "/$name.sql", $scripts{$name});
}

# Publishers for so many seconds, while things are done to what they reach.
sub stress
{
	my ($seconds, @deeds) = @_;
	my $dir = $node->basedir;
	my ($in, $out, $err) = ('', '', '');
	my $run = IPC::Run::start(
		[ 'pgbench', '-n', '-c', '6', '-T', $seconds, '-R', '250', '-f', "$dir/plain.sql\@6",
			'-f', "$dir/late.sql\@3", '-f', "$dir/undone.sql", '-f', "$dir/prepared.sql",
			'-h', $node->host, '-p', $node->port, 'shop' ],
		'<', \$in, '>', \$out, '2>', \$err);
	my $end = time + $seconds;

	while (@deeds && time < $end)
	{
		$node->psql('shop', $deeds[ int rand @deeds ], timeout => 60);
		select undef, undef, undef, rand 0.2;
	}
	$run->finish;
	ok(!$run->result, 'publishers ended well') or diag($err);
	return;
}

sub settled
{
	my ($what) = @_;
	wait_until($node, 'shop', 'SELECT NOT EXISTS (SELECT FROM missing)', "$what: nothing is missing");
	is(query('SELECT count(*) FROM got WHERE times > 1'), '0', "$what: nothing came twice");
	is( query('SELECT count(*) FROM (SELECT g.subscriber, g.id FROM got AS g EXCEPT SELECT * FROM expected) AS x'),
		'0', "$what: nothing came unasked");
	query('BEGIN; INSERT INTO answered SELECT * FROM expected EXCEPT SELECT * FROM answered;'
		. ' INSERT INTO asked SELECT e.id FROM event_engine.events AS e ON CONFLICT DO NOTHING; COMMIT; ANALYZE asked, answered');
	return;
}

stress(6);
settled('late, rolled back, prepared');
my $offset = -s $node->logfile;
query(q{SELECT pg_log_backend_memory_contexts(a.pid) FROM pg_stat_activity AS a WHERE a.backend_type = 'event_engine executor'});
wait_for_log_line($node, qr/event_engine look/, $offset, 'the log is looked at for all of them');

my $some = q{(SELECT 's' || 1 + floor(random() * 300)::integer)};
my @deeds = (
	"SELECT event_engine.process_batch(subscriber => $some)",
	"SELECT event_engine.pause_subscription(x), pg_sleep(0.1), event_engine.resume_subscription(x) FROM $some AS s (x)",
	"SELECT event_engine.pause_subscription(x) FROM $some AS s (x) \\; SELECT event_engine.resume_subscription(s.subscriber) FROM event_engine.subscriptions AS s WHERE s.status = 'paused'",
	"SELECT event_engine.update_subscription(x, options => jsonb_build_object('batch_size', 1 + floor(random() * 100)::integer)) FROM $some AS s (x)",
	q{SELECT event_engine.subscribe('x', '{stock.low}', 'note', '$.payload.customer == "nobody"')},
	q{SELECT event_engine.unsubscribe('x')},
	'SELECT event_engine.run_maintenance()',
	'SELECT event_engine.process_batch(50)');
stress(8, @deeds);
query(q{SELECT event_engine.resume_subscription(s.subscriber) FROM event_engine.subscriptions AS s WHERE s.status = 'paused'});
query(q{SELECT event_engine.unsubscribe(s.subscriber) FROM event_engine.subscriptions AS s WHERE s.subscriber = 'x'});
settled('changed meanwhile');

stress(6, q{SELECT pg_terminate_backend(a.pid) FROM pg_stat_activity AS a WHERE a.backend_type = 'event_engine executor' ORDER BY random() LIMIT 1});
settled('executors killed');

for my $mode ('fast', 'immediate')
{
	stress(2);
	$node->stop($mode);
	$node->start;
	stress(2);
	settled("server restarted ($mode)");
}

# What sleeps gets on in the tables too, so that a restart reads little.
wait_until($node, 'shop', <<'SQL2', 'the places of all that sleep are stored');
SELECT count(*) > 250 FROM (SELECT DISTINCT ON (c.subscription_number) c.low_seq
	FROM (SELECT * FROM event_engine.subscription_cursors UNION ALL SELECT * FROM event_engine.subscription_cursor_moves) AS c
	WHERE c.lane % 1024 = 2 ORDER BY c.subscription_number, c.move DESC) AS l
WHERE l.low_seq > (SELECT max(e.seq) FROM event_engine.events AS e) - 200
SQL2

# One that goes back in the log reads for itself, and then with the others.
query('UPDATE trouble SET share = 0');
query("SELECT event_engine.publish_event('order.paid', jsonb_build_object('customer', 'c9', 'n', n)) FROM generate_series(990, 998) AS n");
wait_until($node, 'shop', 'SELECT NOT EXISTS (SELECT FROM missing)', 'there is something for it');
my $before = query("SELECT sum(times) FROM got WHERE subscriber = 's9'");
query("SELECT event_engine.seek_subscription('s9', 'beginning')");
wait_until($node, 'shop', "SELECT sum(times) = 2 * $before FROM got WHERE subscriber = 's9'", 'sought: all of it again');
query("SELECT event_engine.publish_event('order.paid', '{\"customer\": \"c9\", \"n\": 999}')");
wait_until($node, 'shop', 'SELECT NOT EXISTS (SELECT FROM missing)', 'and what is new');
is(query("SELECT sum(times) FROM got WHERE subscriber = 's9'"), 2 * $before + 1, 'once');

query("SELECT event_engine.subscribe('idle', '{order.paid}', 'note', '\$.payload.customer == \"c9\"', options => '{\"processing_log\": true}')");
my $all = query("SELECT count(*) FROM got WHERE subscriber = 's9'");
wait_until($node, 'shop', q{SELECT count(*) > 0 FROM pg_stat_activity WHERE backend_type = 'event_engine executor' AND state = 'idle'}, 'one that has never moved');
query("SELECT event_engine.seek_subscription('idle', 'beginning')");
wait_until($node, 'shop', "SELECT count(*) >= $all FROM got WHERE subscriber = 'idle'", 'goes back too');
query("SELECT event_engine.unsubscribe('idle')");

# Another filter holds for all that is published once it is committed.
query(q{SELECT event_engine.update_subscription('s9', filter => '$.payload.customer == "new"')});
query(q{SELECT event_engine.publish_event('order.paid', '{"customer": "new", "n": 1}')});
query(q{SELECT event_engine.publish_event('order.paid', '{"customer": "c9", "n": 1}')});
wait_until($node, 'shop', q{SELECT EXISTS (SELECT FROM got AS g JOIN event_engine.events AS e USING (id)
	WHERE g.subscriber = 's9' AND e.payload ->> 'customer' = 'new')}, 'a new filter holds at once');
is( query(q{SELECT max(e.payload ->> 'n') FROM got AS g JOIN event_engine.events AS e USING (id)
	WHERE g.subscriber = 's9' AND e.payload ->> 'customer' = 'c9'}),
	'999', 'and the old one no longer');
$node->stop('immediate');
done_testing();
