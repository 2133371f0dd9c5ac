# Limits of subscriptions hold with workers: rates over all processes, what is
# in flight when a worker ends, circuit breakers, and nobody else waits.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../lib";
use EventEngine;
use Test::More;

my $node = new_server('main');
new_database($node, 'shop');
$node->safe_psql('shop', <<'SQL');
SELECT event_engine.register_event_definition('flow.test');
CREATE TABLE done (subscriber text, n integer, pid integer DEFAULT pg_backend_pid(),
	at timestamptz DEFAULT clock_timestamp());
CREATE TABLE weather (bad boolean);
INSERT INTO weather VALUES (false);
CREATE FUNCTION slow(e event_engine.event) RETURNS void LANGUAGE sql AS
	$$ INSERT INTO done VALUES ('slow', (e.payload ->> 'n')::integer) $$;
CREATE FUNCTION fast(e event_engine.event) RETURNS void LANGUAGE sql AS
	$$ INSERT INTO done VALUES ('fast', (e.payload ->> 'n')::integer) $$;
CREATE FUNCTION careful(e event_engine.event) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
	IF (SELECT w.bad FROM weather AS w) THEN RAISE 'no way'; END IF;
	INSERT INTO done VALUES ('careful', (e.payload ->> 'n')::integer);
END $$;
CREATE FUNCTION stuck(e event_engine.event) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
	IF (SELECT w.bad FROM weather AS w) THEN PERFORM pg_sleep(3600); END IF;
	INSERT INTO done VALUES ('stuck', (e.payload ->> 'n')::integer);
END $$;
CREATE FUNCTION picky(e event_engine.event) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
	IF (e.payload ->> 'n')::integer % 100 = 0 THEN RAISE 'no good'; END IF;
END $$;
CREATE FUNCTION publish(lower integer, upper integer) RETURNS bigint LANGUAGE sql AS $$
	SELECT count(event_engine.publish_event('flow.test', jsonb_build_object('n', i)))
	FROM generate_series($1, $2) AS i
$$;
SQL

sub query { return $node->safe_psql('shop', $_[0]); }

# A rate of 200 a second: what a worker and a session deliver together.  The
# bucket holds 20 more, and as many may have been taken from it before a halt.
query(q{SELECT event_engine.subscribe('slow', '{flow.test}', 'slow', options => '{"rate_limit": 200}'),
	event_engine.subscribe('fast', '{flow.test}', 'fast')});
query('SELECT publish(1, 1000)');
wait_until($node, 'shop', <<'SQL', 'a limited subscription is worked off by a worker and a session');
SELECT event_engine.process_batch(subscriber => 'slow') IS NULL
	OR (SELECT count(*) = 1000 FROM done WHERE subscriber = 'slow')
SQL
is( query(q{SELECT count(DISTINCT n) FROM done WHERE subscriber = 'slow'}),
	1000, 'each once');
is( query(<<'SQL'), 't', 'in no second more than its rate allows');
SELECT max(events) <= 200 + 20 + 20 + 4 FROM (
	SELECT count(*) OVER (ORDER BY at RANGE BETWEEN CURRENT ROW AND '1 second' FOLLOWING)
	FROM done WHERE subscriber = 'slow') AS d (events)
SQL
cmp_ok(
	query(q{SELECT extract(epoch FROM max(at) - min(at)) FROM done WHERE subscriber = 'slow'}),
	'>=', (1000 - 20) / 200 * 0.98,
	'and all of them took as long as they must');
is( query(<<'SQL'), 't', 'nobody else waits for it');
SELECT max(at) FILTER (WHERE subscriber = 'fast') < max(at) FILTER (WHERE subscriber = 'slow') FROM done
SQL
query(q{SELECT event_engine.unsubscribe('slow'), event_engine.unsubscribe('fast')});

# What was in flight when a worker ended is not any more.
query(q{SELECT event_engine.subscribe('stuck', '{flow.test}', 'stuck',
	options => '{"max_in_flight": 1, "timeout_ms": 0}')});
query('UPDATE weather SET bad = true');
query('SELECT publish(1, 3)');
my $in_flight = q{SELECT c.in_flight FROM event_engine.subscriptions AS s,
	event_engine.subscription_counters(s.number, s.id) AS c};
wait_until($node, 'shop', "SELECT ($in_flight) = 1", 'an event is in flight');
query('UPDATE weather SET bad = false');
query(q{SELECT pg_terminate_backend(pid) FROM event_engine.stat_workers WHERE kind = 'executor'});
wait_until($node, 'shop',
	q{SELECT count(*) = 3 FROM done WHERE subscriber = 'stuck'},
	'the next worker goes on');
wait_until($node, 'shop', "SELECT ($in_flight) = 0", 'nothing is in flight');
query(q{SELECT event_engine.unsubscribe('stuck')});

# The breaker: it opens, whoever comes next finds it open, and it closes again.
query(q{SELECT event_engine.subscribe('careful', '{flow.test}', 'careful',
	options => '{"backoff_ms": 100, "max_attempts": 100, "circuitBreaker": {"recoveryMs": 3600000}}'),
	event_engine.subscribe('fast', '{flow.test}', 'fast')});
query('UPDATE weather SET bad = true');
my $offset = -s $node->logfile;
query('SELECT publish(1001, 1100)');
wait_until($node, 'shop',
	q{SELECT breaker = 'open' FROM event_engine.stat_subscriptions WHERE subscriber = 'careful'},
	'where nothing succeeds the breaker opens');
wait_for_log_line($node, qr/circuit breaker of subscription "careful" has opened/,
	$offset, 'the log says so');
wait_until($node, 'shop',
	q{SELECT count(*) = 100 FROM done WHERE subscriber = 'fast' AND n > 1000},
	'others are delivered to');
my $failed = query(q{SELECT failed FROM event_engine.stat_subscriptions WHERE subscriber = 'careful'});
query(q{SELECT pg_terminate_backend(pid) FROM event_engine.stat_workers WHERE kind = 'executor'});
query('SELECT publish(1101, 1200)');
wait_until($node, 'shop',
	q{SELECT count(*) = 200 FROM done WHERE subscriber = 'fast' AND n > 1000},
	'another worker has come');
is( query(q{SELECT failed FROM event_engine.stat_subscriptions WHERE subscriber = 'careful'}),
	$failed, 'and tries nothing either');
query('UPDATE weather SET bad = false');
query(q{SELECT event_engine.update_subscription('careful', options => '{"breaker_recovery_ms": 100}')});
wait_until($node, 'shop',
	q{SELECT count(DISTINCT n) = 200 FROM done WHERE subscriber = 'careful' AND n > 1000},
	'once an attempt succeeds all of it is delivered');
is( query(q{SELECT breaker, dead FROM event_engine.stat_subscriptions WHERE subscriber = 'careful'}),
	'closed|0', 'the breaker is closed, and nothing was given up');
wait_for_log_line($node, qr/circuit breaker of subscription "careful" is closed again/,
	$offset, 'the log says that, too');

# Poison among many that are healthy: a round of thousands ends with more
# failures than the breaker remembers attempts.
query(q{SELECT event_engine.unsubscribe('careful'), event_engine.unsubscribe('fast')});
query(q{ALTER SYSTEM SET event_engine.delivery_batch_time = '10s'});
query('SELECT pg_reload_conf()');
query(q{SELECT event_engine.subscribe('tolerant', '{flow.test}', 'picky',
	options => '{"batch_size": 10000, "max_attempts": 1}')});
query('SELECT publish(2001, 12000)');
wait_until($node, 'shop',
	q{SELECT delivered = 9900 FROM event_engine.stat_subscriptions WHERE subscriber = 'tolerant'},
	'one in a hundred that fails does not stop the others');
is( query(q{SELECT breaker, dead FROM event_engine.stat_subscriptions WHERE subscriber = 'tolerant'}),
	'closed|100', 'and leaves the breaker closed');

$node->stop;
done_testing();
