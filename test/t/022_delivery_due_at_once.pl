# Much falls due at one moment.  Each look for it begins where the last one
# ended, even if a snapshot held elsewhere keeps what is done in the index; and
# new events come in between, even if the handler is slow.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib";

use EventEngine;
use Test::More;

my $AT_ONCE = 3000;
my $SLOW = 60;
my $node = new_server('due_at_once', conf => <<'CONF');
event_engine.worker_idle_timeout = 1h
autovacuum = off
CONF

new_database($node, 'shop');
$node->safe_psql('shop', <<'SQL');
SELECT event_engine.register_event_definition('due.' || w) FROM unnest('{quick,slow,new}'::text[]) w;
CREATE TABLE seen (n bigserial, pattern text, delayed boolean);
CREATE FUNCTION see(e event_engine.event) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
	IF e.pattern = 'due.slow' THEN PERFORM pg_sleep(0.05); END IF;
	INSERT INTO public.seen (pattern, delayed) VALUES (e.pattern, e.deliver_at IS NOT NULL);
END $$;
SELECT event_engine.subscribe('see', '{due.#}', 'see');
CREATE PROCEDURE delay(pattern text, n integer, seconds integer) LANGUAGE sql AS $$
	SELECT count(event_engine.publish_event(pattern, '{}', deliver_at => now() + make_interval(secs => seconds)))
	FROM generate_series(1, n) $$;
SQL

# the first to be due shows that all have been written down
$node->safe_psql('shop', qq(CALL delay('due.quick', $AT_ONCE, 3)));
wait_until($node, 'shop', "SELECT count(*) = $AT_ONCE FROM event_engine.deliveries", 'all wait for one moment');
my $holder = $node->background_psql('shop');
$holder->query_safe('BEGIN ISOLATION LEVEL REPEATABLE READ');
$holder->query_safe('SELECT count(*) FROM pg_class');
wait_until($node, 'shop', "SELECT count(*) = $AT_ONCE FROM seen", 'all come when they are due');
is($node->safe_psql('shop', 'SELECT count(DISTINCT n) FROM seen'), $AT_ONCE, 'once');
is($node->safe_psql('shop', 'SELECT count(*) FROM event_engine.deliveries'), 0, 'none is left');

# reported at the end of a round that comes a second later
wait_until($node, 'shop', <<"SQL", 'the looks are counted');
SELECT event_engine.publish_event('due.new', '{}') IS NOT NULL
	AND idx_tup_read >= $AT_ONCE FROM pg_stat_user_indexes WHERE indexrelname = 'deliveries_due_idx'
SQL
my $read = $node->safe_psql('shop', q(SELECT idx_tup_read FROM pg_stat_user_indexes WHERE indexrelname = 'deliveries_due_idx'));
note("index entries read: $read");
# an interrupted round reads some again
cmp_ok($read, '<', 3 * $AT_ONCE, 'nothing is walked over again and again');
$holder->quit;

# Groups are large by now, as none has failed.
$node->safe_psql('shop', qq(TRUNCATE seen; CALL delay('due.slow', $SLOW, 1)));
wait_until($node, 'shop', q(SELECT count(*) > 0 FROM seen), 'the slow ones have begun');
$node->safe_psql('shop', q(SELECT event_engine.publish_event('due.new', '{}')));
wait_until($node, 'shop', q(SELECT count(*) = 1 FROM seen WHERE NOT delayed), 'a new one comes');
cmp_ok($node->safe_psql('shop', q(SELECT count(*) FROM seen WHERE n < (SELECT n FROM seen WHERE NOT delayed))),
	'<', $SLOW * 2 / 3, 'before the slow ones are through');
wait_until($node, 'shop', "SELECT count(*) = $SLOW FROM seen WHERE delayed", 'which all come');
$node->stop;
done_testing();
