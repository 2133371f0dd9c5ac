# An executor that has nothing to do, and stays, finds what falls due whoever
# has written it: its own attempts that were rolled back at the commit, and
# what the publishers of an immediate subscription have left to it.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib";

use EventEngine;
use Test::More;

my $node = new_server('due', conf => <<'CONF');
event_engine.worker_idle_timeout = 1h
CONF

new_database($node, 'shop');
$node->safe_psql('shop', <<'SQL');
SELECT event_engine.register_event_definition('due.' || w) FROM unnest('{event,now}'::text[]) w;
CREATE TABLE seen (subscriber text, n integer);
CREATE TABLE broken ();
CREATE SEQUENCE tries;
CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	IF EXISTS (SELECT FROM broken) OR (new.n = 3 AND nextval('tries') = 1) THEN
		RAISE 'not at this commit';
	END IF;
	RETURN NULL;
END $$;
CREATE CONSTRAINT TRIGGER refuse AFTER INSERT ON seen DEFERRABLE INITIALLY DEFERRED
	FOR EACH ROW EXECUTE FUNCTION refuse();
CREATE FUNCTION see(e event_engine.event) RETURNS void LANGUAGE sql AS
	$$ INSERT INTO public.seen VALUES ('see', (e.payload ->> 'n')::int) $$;
CREATE FUNCTION see_now(e event_engine.event) RETURNS void LANGUAGE sql AS
	$$ INSERT INTO public.seen VALUES ('now', (e.payload ->> 'n')::int) $$;
SELECT event_engine.subscribe('see', '{due.event}', 'see', options => '{"max_attempts": 1}');
SELECT event_engine.subscribe('now', '{due.now}', 'see_now', options => '{"immediate": true}');
INSERT INTO broken DEFAULT VALUES;
SELECT event_engine.publish_event('due.event', jsonb_build_object('n', n)) FROM generate_series(1, 5) n;
SQL
wait_until($node, 'shop', q(SELECT count(*) = 5 FROM event_engine.event_dead_letters WHERE status = 'dead'),
	'all fail at the commit');

# the five are tried again in one transaction, which the third undoes
$node->safe_psql('shop', 'TRUNCATE broken');
$node->safe_psql('shop', q(SELECT event_engine.redrive_dead_letters(subscriber => 'see')));
wait_until($node, 'shop', 'SELECT count(*) = 0 FROM event_engine.deliveries', 'none waits for ever');
is($node->safe_psql('shop', q(SELECT count(DISTINCT n), count(*) FROM seen WHERE subscriber = 'see')),
	'5|5', 'they are delivered after all, once');
is($node->safe_psql('shop', 'SELECT is_called FROM tries'), 't', 'although it failed once');

my $executor = $node->safe_psql('shop', q(SELECT pid FROM event_engine.stat_workers WHERE kind = 'executor'));
$node->safe_psql('shop', q(SELECT event_engine.publish_event('due.now', '{"n": 1}', deliver_at => clock_timestamp() + interval '100 ms')));
wait_until($node, 'shop', q(SELECT count(*) = 1 FROM seen WHERE subscriber = 'now'), 'left to the workers until it was due');
is($node->safe_psql('shop', q(SELECT pid FROM event_engine.stat_workers WHERE kind = 'executor')),
	$executor, 'by an executor that was there before');
$node->stop;
done_testing();
