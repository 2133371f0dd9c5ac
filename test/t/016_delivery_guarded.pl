# After an executor that did not survive its work the next one takes events one
# at a time, the attempt written down first: of a batch's length and no more,
# none before its time, and none that its publisher has delivered.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib";

use EventEngine;
use Test::More;

my $node = new_server('guarded', conf => <<'CONF');
event_engine.delivery_enabled = off
CONF

new_database($node, 'shop');
$node->safe_psql('shop', <<'SQL');
SELECT event_engine.register_event_definition('guard.event');
CREATE TABLE seen (subscriber text, n integer, waited boolean);
CREATE FUNCTION see_now(e event_engine.event) RETURNS void LANGUAGE sql AS
	$$ INSERT INTO public.seen VALUES ('now', (e.payload ->> 'n')::int) $$;
CREATE FUNCTION see_later(e event_engine.event) RETURNS void LANGUAGE sql AS
	$$ INSERT INTO public.seen SELECT 'later', (e.payload ->> 'n')::int,
		EXISTS (SELECT FROM event_engine.deliveries d WHERE d.seq = e.seq) $$;
CREATE FUNCTION see_spread(e event_engine.event) RETURNS void LANGUAGE sql AS
	$$ INSERT INTO public.seen VALUES ('spread', (e.payload ->> 'n')::int) $$;
SELECT event_engine.subscribe('now', '{guard.event}', 'see_now', options => '{"immediate": true}');
SELECT event_engine.subscribe('later', '{guard.event}', 'see_later', options => '{"batch_size": 10}');
SELECT event_engine.publish_event('guard.event', '{"n": 0}', deliver_at => now() + interval '1 day');
SELECT event_engine.publish_event('guard.event', jsonb_build_object('n', n)) FROM generate_series(1, 30) n;
-- one lane ends here, and four begin
SELECT event_engine.subscribe('spread', '{guard.event}', 'see_spread', options => '{"start": "beginning"}');
SELECT event_engine.update_subscription('spread', options => '{"concurrency": 4}');
SELECT event_engine.publish_event('guard.event', jsonb_build_object('n', n)) FROM generate_series(31, 40) n;
-- the predecessor began, and was never heard of again
INSERT INTO event_engine.executor_starts (owner, member, starts) VALUES (10, 0, 1);
SQL
is($node->safe_psql('shop', q(SELECT count(*) FROM seen WHERE subscriber = 'now')), '40', 'delivered at once');

my $begun = time;
$node->append_conf('postgresql.conf', 'event_engine.delivery_enabled = on');
$node->reload;
wait_until($node, 'shop', q(SELECT count(*) = 40 FROM seen WHERE subscriber = 'later'), 'what waited is delivered');
cmp_ok(time - $begun, '<', 55, 'without waiting for the search that is made once a minute');
wait_until($node, 'shop', q(SELECT count(*) = 40 FROM seen WHERE subscriber = 'spread'), 'an epoch that ends while it is guarded is followed by the next');
wait_until($node, 'shop', 'SELECT bool_and(starts = 0) FROM event_engine.executor_starts', 'the executor has proven itself');
is($node->safe_psql('shop', q(SELECT count(*), count(DISTINCT n) FROM seen WHERE subscriber = 'later')), '40|40', 'once');
is($node->safe_psql('shop', q(SELECT max(n) FILTER (WHERE waited), min(n) FILTER (WHERE NOT waited) FROM seen WHERE subscriber = 'later')),
	'9|10', 'one at a time for the length of a batch');
is($node->safe_psql('shop', q(SELECT count(*) FROM seen WHERE subscriber = 'now')), '40', 'nothing again that its publisher has delivered');
is($node->safe_psql('shop', q(SELECT d.status, next_attempt_at > now() + interval '23 hours', count(*) FROM event_engine.deliveries d
	JOIN event_engine.subscriptions s ON number = subscription_number WHERE subscriber = 'later' GROUP BY 1, 2)),
	'delayed|t|1', 'and nothing before its time');
is($node->safe_psql('shop', 'SELECT count(*) FROM event_engine.event_dead_letters'), '0', 'nothing is given up');
$node->stop;
done_testing();
