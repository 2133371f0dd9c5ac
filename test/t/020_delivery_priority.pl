# Urgent events overtake what is being worked on, low ones do not wait for
# ever, and workers that start find events of every class.
use strict;
use warnings;

use EventEngine;
use PostgreSQL::Test::Utils;
use Test::More;

# a batch that nothing cuts short takes the whole backlog
my $node = new_server('main', conf => 'event_engine.delivery_batch_time = 60s');
new_database($node, 'shop');
$node->safe_psql('shop', <<'SQL');
SELECT event_engine.register_event_definition('job');
CREATE TABLE seen (n serial, priority text, at timestamptz);
CREATE TABLE pace (slow boolean);
INSERT INTO pace VALUES (true);
CREATE FUNCTION work(e event_engine.event) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
	INSERT INTO seen (priority, at) VALUES (e.priority, clock_timestamp());
	PERFORM pg_sleep(0.01) WHERE e.priority = 'normal' AND (SELECT p.slow FROM pace AS p);
END $$;
CREATE FUNCTION work_off(e event_engine.event[]) RETURNS void LANGUAGE sql AS $$
	INSERT INTO seen (priority, at) SELECT x.priority, clock_timestamp() FROM unnest(e) AS x
$$;
CREATE FUNCTION publish(priority text, n integer) RETURNS bigint LANGUAGE sql AS $$
	SELECT count(event_engine.publish_event('job', '{}', priority => publish.priority::event_engine.event_priority))
	FROM generate_series(1, n)
$$;
SELECT event_engine.subscribe('worker', '{job}', 'work');
SQL

# Classes of which there is nothing yet, and a worker that has begun.
$node->safe_psql('shop', q{SELECT publish('normal', 1)});
wait_until($node, 'shop', 'SELECT count(*) = 1 FROM seen', 'a worker runs');

$node->safe_psql('shop', q{TRUNCATE seen; SELECT publish('normal', 5000)});
wait_until($node, 'shop',
	q{SELECT state = 'busy' FROM event_engine.stat_workers WHERE kind = 'executor'},
	'it works on a backlog in one batch');
foreach my $class (qw(critical high))
{
	$node->safe_psql('shop', qq{SELECT publish('$class', 3)});
	wait_until($node, 'shop', qq{SELECT count(*) = 3 FROM seen WHERE priority = '$class'},
		"$class events are handled");
	cmp_ok($node->safe_psql('shop', q{SELECT count(*) FROM seen WHERE priority = 'normal'}),
		'<', 5000, '... before the batch is over');
}
$node->safe_psql('shop', q{SELECT publish('low', 5)});
$node->safe_psql('shop', q{UPDATE pace SET slow = false});
wait_until($node, 'shop', 'SELECT count(*) = 5011 FROM seen', 'all is handled');
is($node->safe_psql('shop',
		q{SELECT string_agg(priority || ' ' || count, ' ' ORDER BY priority)
		FROM (SELECT priority, count(*) FROM seen GROUP BY 1) AS s}),
	'critical 3 high 3 low 5 normal 5000', '... and once');
is($node->safe_psql('shop', q{SELECT min(n) FILTER (WHERE priority = 'low')
		> max(n) FILTER (WHERE priority = 'normal') FROM seen}),
	't', 'low events came last');

# Low ones among normal ones without end: they have a turn now and then.
$node->append_conf('postgresql.conf', 'event_engine.delivery_batch_time = 20ms');
$node->reload;
$node->safe_psql('shop', q{TRUNCATE seen; UPDATE pace SET slow = true; SELECT publish('normal', 300), publish('low', 1)});
wait_until($node, 'shop', 'SELECT count(*) = 301 FROM seen', 'all is handled');
is($node->safe_psql('shop', q{SELECT min(n) FILTER (WHERE priority = 'low')
		< max(n) FILTER (WHERE priority = 'normal') FROM seen}),
	't', 'a low event does not wait for the end of a backlog');

# What was published while nobody ran, by a worker that has just started.
$node->safe_psql('shop', q{SELECT event_engine.subscribe('all', '{job}', 'work_off')});
$node->append_conf('postgresql.conf', 'event_engine.delivery_enabled = off');
$node->restart;
$node->safe_psql('shop', q{TRUNCATE seen;
	SELECT publish(p, 4) FROM unnest('{low, normal, high, critical}'::text[]) AS p});
$node->append_conf('postgresql.conf', 'event_engine.delivery_enabled = on');
$node->restart;
wait_until($node, 'shop', q{SELECT count(*) = 32 FROM seen}, 'all classes are found after a start');

# Prepared transactions tell nobody of their own.
$node->append_conf('postgresql.conf', 'max_prepared_transactions = 2');
$node->restart;
wait_until($node, 'shop', q{SELECT count(*) = 32 FROM seen}, 'nothing is handled again');
$node->safe_psql('shop', q{TRUNCATE seen; BEGIN; SELECT publish('critical', 2); PREPARE TRANSACTION 'p';});
$node->safe_psql('shop', q{SELECT publish('critical', 1)});
wait_until($node, 'shop', q{SELECT count(*) = 2 FROM seen}, 'others do not wait for a prepared one');
$node->safe_psql('shop', q{COMMIT PREPARED 'p'});
wait_until($node, 'shop', q{SELECT count(*) = 6 FROM seen}, 'which is found when it commits');

$node->stop;
done_testing();
