# Somebody holds a snapshot for long.  Delivery keeps pace all the same, and no
# table of ours grows by a dead row per event or per batch.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib";

use EventEngine;
use List::Util qw(max min);
use Test::More;

my $node = new_server('snapshot', conf => <<'CONF');
event_engine.delivery_batch_time = 10ms
autovacuum = off
log_statement = none
CONF

new_database($node, 'shop');
$node->safe_psql('shop', <<'SQL');
SELECT event_engine.register_event_definition('snapshot.event');
CREATE TABLE counted (n bigserial, i int);
CREATE FUNCTION count_it(e event_engine.event) RETURNS void LANGUAGE sql AS
	$$ INSERT INTO public.counted (i) VALUES ((e.payload ->> 'i')::int) $$;
SELECT event_engine.subscribe('s' || s, '{snapshot.event}', 'count_it', options => '{"batch_size": 10}')
	FROM generate_series(1, 3) s;
CREATE PROCEDURE flow(first int, last int) LANGUAGE plpgsql AS $$ BEGIN
	FOR i IN first .. last LOOP
		PERFORM event_engine.publish_event('snapshot.event', jsonb_build_object('i', i),
			event_id => CASE WHEN i % 10 = 0 THEN 'e' || i END);
		COMMIT;
	END LOOP;
END $$;
SQL

my $holder = $node->background_psql('shop');
$holder->query_safe('BEGIN ISOLATION LEVEL REPEATABLE READ');
$holder->query_safe('SELECT count(*) FROM pg_class');

my $EVENTS = 10_000;
my @seconds;
foreach my $quarter (0 .. 3)
{
	my $from = $quarter * $EVENTS + 1;
	my $to = ($quarter + 1) * $EVENTS;

	push @seconds, $node->safe_psql('shop', <<"SQL");
SELECT clock_timestamp() AS began \\gset
CALL flow($from, $to);
DO \$\$ BEGIN
	WHILE (SELECT count(*) < 3 * $to FROM counted) LOOP
		IF clock_timestamp() > now() + interval '100 s' THEN RAISE 'not delivered'; END IF;
		PERFORM pg_sleep(0.01);
		COMMIT;
	END LOOP;
END \$\$;
SELECT extract(epoch FROM clock_timestamp() - :'began');
SQL
}
note("seconds for each $EVENTS events: @seconds");
is($node->safe_psql('shop', "SELECT count(*) FROM counted"), 4 * 3 * $EVENTS, 'all is delivered');
# what others do on the machine is not the snapshot's fault; dead rows that are walked over cost much more
cmp_ok(min(@seconds[2, 3]), '<', 2 * max(@seconds[0, 1]) + 1, 'as fast at the end as at the beginning');

# upkeep is no exception
$node->safe_psql('shop', 'SELECT event_engine.run_maintenance()') for 1 .. 20;
my $stats = "SELECT relname, n_dead_tup, n_tup_upd + n_tup_del AS changed FROM pg_stat_user_tables"
  . " WHERE schemaname = 'event_engine' AND n_dead_tup > 200";
is($node->safe_psql('shop', $stats), '', 'no table has many dead rows');
is($node->safe_psql('shop', 'SELECT count(*) FROM event_engine.subscription_cursor_moves'),
	'0', 'moves of cursors are gathered while the snapshot is held');
is($node->safe_psql('shop', 'SELECT count(*) FROM event_engine.events'), 4 * $EVENTS, 'the log holds them all');
is($holder->query_safe('SELECT count(*) FROM event_engine.events'), '0', 'and the snapshot was held all the time');
$holder->quit;
$node->stop;
done_testing();
