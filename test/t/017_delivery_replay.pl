# A replay under load joins what is delivered live: publishers commit in
# another order than they took their places in the log, some in two priorities,
# and of each event that was there when the replay was asked for the
# subscription gets exactly one of a replay and a first delivery after it; of
# each that came later exactly one delivery.  The others hear nothing of it.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib";

use EventEngine;
use IPC::Run;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = new_server('replay', conf => "max_connections = 40\nevent_engine.delivery_poll_interval = '200ms'");
new_database($node, 'shop');
$node->safe_psql('shop', <<'SQL');
SELECT event_engine.register_event_definition('load.made');
-- nr: in which order it was seen
CREATE TABLE seen (who text, seq bigint, replayed boolean, nr bigint GENERATED ALWAYS AS IDENTITY);
CREATE FUNCTION note(e event_engine.event) RETURNS void LANGUAGE sql AS
	$$ INSERT INTO seen VALUES ('note', e.seq, e.metadata ? 'replayed') $$;
CREATE FUNCTION other(e event_engine.event[]) RETURNS void LANGUAGE sql AS
	$$ INSERT INTO seen SELECT 'other', u.seq, u.metadata ? 'replayed' FROM unnest(e) AS u $$;
SELECT event_engine.subscribe('note', '{load.made}', 'note');
SELECT event_engine.subscribe('other', '{load.made}', 'other');
-- one transaction: several events, and a pause after its places were taken
CREATE PROCEDURE publish(rounds integer) LANGUAGE plpgsql AS $$
BEGIN
	FOR i IN 1 .. rounds LOOP
		PERFORM event_engine.publish_event('load.made', '{}',
			priority => CASE WHEN random() < 0.2 THEN 'high' END::event_engine.event_priority)
			FROM generate_series(1, 1 + (random() * 5)::integer);
		PERFORM pg_sleep(random() * 0.02);
		IF random() < 0.1 THEN
			ROLLBACK;
		ELSE
			COMMIT;
		END IF;
	END LOOP;
END $$;
SQL

my @publishers;
for my $n (1 .. 4)
{
	push @publishers, IPC::Run::start([ 'psql', '-XAtq', '-d', $node->connstr('shop'), '-c', 'CALL publish(400)' ],
		'<', \undef, '2>&1');
}
wait_until($node, 'shop', 'SELECT count(*) > 500 FROM seen', 'events are delivered');

# Three replays, each while the load goes on.  What is known of the moment: the
# events visible before it, and after it, with the places they have.
for my $n (1 .. 3)
{
	$node->safe_psql('shop', <<"SQL");
CREATE TABLE before_$n AS SELECT seq FROM event_engine.events;
CREATE TABLE mark_$n AS SELECT max(nr) AS nr FROM seen;
CREATE TABLE replay_$n AS SELECT event_engine.replay_events('note') AS id;
CREATE TABLE after_$n AS SELECT seq FROM event_engine.events;
SQL
	wait_until($node, 'shop', <<"SQL", "replay $n comes to its end");
SELECT status = 'done' AND waiting = 0 FROM event_engine.stat_replays WHERE id = (SELECT id FROM replay_$n)
SQL
	$node->safe_psql('shop', "CREATE TABLE end_$n AS SELECT max(nr) AS nr FROM seen");
}
$_->finish for @publishers;
wait_until($node, 'shop', <<'SQL', 'everything is delivered');
SELECT count(*) = 2 * (SELECT count(*) FROM event_engine.events) FROM seen WHERE NOT replayed
SQL

is($node->safe_psql('shop', <<'SQL'), '', 'each event was delivered exactly once unmarked, to both');
SELECT e.seq, count(s.seq) FROM event_engine.events AS e LEFT JOIN seen AS s ON s.seq = e.seq AND NOT s.replayed
GROUP BY e.seq HAVING count(s.seq) <> 2 OR count(DISTINCT s.who) <> 2
SQL
is($node->safe_psql('shop', q{SELECT count(*) FROM seen WHERE replayed AND who <> 'note'}),
	0, 'nobody else heard of the replays');
for my $n (1 .. 3)
{
	# between the call and the end of replay n: replays of n, and first deliveries
	my $during = "nr <= (SELECT nr FROM end_$n) AND nr > coalesce((SELECT nr FROM mark_$n), 0)";
	is($node->safe_psql('shop', <<"SQL"), '', "replay $n: no hole, and no event twice");
WITH marked AS (
	SELECT seq, count(*) AS n FROM seen WHERE who = 'note' AND replayed AND $during GROUP BY seq
), live AS (
	SELECT seq, nr FROM seen WHERE who = 'note' AND NOT replayed
)
SELECT 'hole', b.seq FROM before_$n AS b
	JOIN live AS l ON l.seq = b.seq LEFT JOIN marked AS m ON m.seq = b.seq
	WHERE m.n IS NULL AND l.nr <= (SELECT nr FROM mark_$n)
UNION ALL
SELECT 'twice', seq FROM marked WHERE n > 1
UNION ALL
SELECT 'later', m.seq FROM marked AS m WHERE NOT EXISTS (SELECT FROM after_$n AS a WHERE a.seq = m.seq)
UNION ALL
-- of an event that was replayed the first delivery had been before: its
-- effects were committed when all lanes were locked
SELECT 'both', m.seq FROM marked AS m JOIN live AS l ON l.seq = m.seq
	WHERE l.nr > (SELECT min(s.nr) FROM seen AS s WHERE s.seq = m.seq AND s.replayed AND s.who = 'note')
SQL
	is($node->safe_psql('shop', <<"SQL"), 't', "replay $n counted what it did");
SELECT replayed = (SELECT count(*) FROM seen WHERE who = 'note' AND replayed AND $during)
FROM event_engine.stat_replays WHERE id = (SELECT id FROM replay_$n)
SQL
}

# A fresh subscription from the beginning joins likewise.
$node->safe_psql('shop', <<'SQL');
CREATE FUNCTION fresh(e event_engine.event) RETURNS void LANGUAGE sql AS
	$$ INSERT INTO seen VALUES ('fresh', e.seq, e.metadata ? 'replayed') $$;
SQL
my $publisher = IPC::Run::start([ 'psql', '-XAtq', '-d', $node->connstr('shop'), '-c', 'CALL publish(100)' ],
	'<', \undef, '2>&1');
$node->safe_psql('shop', q{SELECT event_engine.subscribe('fresh', '{load.made}', 'fresh', options => '{"start": "beginning"}')});
$publisher->finish;
wait_until($node, 'shop', <<'SQL', 'all of it is delivered');
SELECT count(*) >= (SELECT count(*) FROM event_engine.events) FROM seen WHERE who = 'fresh'
SQL
is($node->safe_psql('shop', q{SELECT count(*) - count(DISTINCT seq), count(*) FILTER (WHERE replayed) FROM seen WHERE who = 'fresh'}),
	'0|0', 'once, unmarked');

# A replay goes on after a crash, from where it was; and can be stopped.
$node->safe_psql('shop', <<'SQL');
TRUNCATE seen;
ALTER TABLE seen ADD UNIQUE (who, seq, replayed);
SELECT event_engine.replay_events('note');
SQL
wait_until($node, 'shop', 'SELECT count(*) > 200 FROM seen', 'a replay is under way');
$node->stop('immediate');
$node->start;
wait_until($node, 'shop', <<'SQL', 'it comes to its end after a crash');
SELECT status = 'done' AND waiting = 0 FROM event_engine.stat_replays ORDER BY created_at DESC LIMIT 1
SQL
is($node->safe_psql('shop', <<'SQL'), 't', 'with each event once');
SELECT count(*) = (SELECT count(*) FROM event_engine.events) FROM seen WHERE who = 'note' AND replayed
SQL

$node->stop;
done_testing();
