# A history of concurrent publishers, and what became of it.
#
#	my $history = History->new($node, 'shop', sessions => 6);
#	$history->begin(rounds => 20);		# publishers at work, in processes of their own
#	...
#	$history->finish;					# wait for them
#	$history->check('under load');		# tests: acknowledged = delivered, once, in order
#
# Each publisher is a session that publishes transactions of several events,
# with savepoints rolled back, transactions rolled back, and some prepared and
# finished later or by somebody else.  In the same transaction it writes into
# table acknowledged what it has published: what is there when all is over is
# what committed.  The handlers of several subscriptions write into table
# delivered; its unique constraint stands for exactly once.
package History;

use strict;
use warnings;

use PostgreSQL::Test::Utils;
use Test::More;
use EventEngine;

sub new
{
	my ($class, $node, $database, %options) = @_;
	my $self = bless { node => $node, database => $database,
		sessions => $options{sessions} // 6, serial => 0, running => [] }, $class;

	$node->safe_psql($database, <<'SQL');
CREATE TABLE acknowledged (session int, n int, pattern text, amount int, PRIMARY KEY (session, n));
CREATE TABLE delivered (nth bigserial, subscriber text, session int, n int, seq bigint, xid xid8,
	PRIMARY KEY (subscriber, session, n));
SELECT event_engine.register_event_definition('history.' || w) FROM unnest('{a,b,c,rare}'::text[]) w;
DO $$
DECLARE
	s record;
BEGIN
	FOR s IN SELECT * FROM (VALUES ('all', 'event_engine.event', 'history.#', NULL),
		('rare', 'event_engine.event[]', 'history.rare', NULL),
		('two', 'event_engine.event[]', 'history.a,history.b', NULL),
		('filter', 'event_engine.event', '*.*', '$.payload.amount > 90')) v (name, argument, patterns, filter)
	LOOP
		EXECUTE format($f$
			CREATE FUNCTION take_%1$s(e %2$s) RETURNS void LANGUAGE sql AS $b$
				INSERT INTO public.delivered (subscriber, session, n, seq, xid)
				SELECT '%1$s', (u.payload -> 'session')::int, (u.payload -> 'n')::int, u.seq, u.xid
				FROM %3$s $b$ $f$, s.name, s.argument,
			CASE WHEN s.argument LIKE '%[]' THEN 'unnest(e) u' ELSE '(SELECT e.*) u' END);
		PERFORM event_engine.subscribe(s.name, string_to_array(s.patterns, ','), format('take_%s', s.name),
			filter => s.filter, options => '{"batch_size": 100, "backoff_ms": 10, "max_attempts": 1000}');
	END LOOP;
END $$;
-- one transaction's worth of publishing
CREATE FUNCTION publish_some(session int, first int) RETURNS int LANGUAGE plpgsql AS $$
DECLARE
	last int := first + (random() * 5)::int;
	w text;
	amount int;
BEGIN
	FOR n IN first .. last LOOP
		w := 'history.' || CASE WHEN random() < 0.03 THEN 'rare' ELSE substr('abc', 1 + (random() * 2)::int, 1) END;
		amount := random() * 100;
		BEGIN
			PERFORM event_engine.publish_event(w, jsonb_build_object('session', session, 'n', n, 'amount', amount),
				partition_key => session::text);
			INSERT INTO acknowledged VALUES (session, n, w, amount);
			IF random() < 0.1 THEN
				RAISE 'back to the savepoint';
			END IF;
		EXCEPTION WHEN raise_exception THEN NULL;
		END;
	END LOOP;
	RETURN last + 1;
END $$;
-- many events in one statement
CREATE FUNCTION publish_many(session int, first int) RETURNS int LANGUAGE plpgsql AS $$
BEGIN
	PERFORM event_engine.publish_events(jsonb_agg(jsonb_build_object('pattern', 'history.c', 'payload',
		jsonb_build_object('session', session, 'n', n, 'amount', 95)) ORDER BY n))
		FROM generate_series(first, first + 299) n;
	INSERT INTO acknowledged SELECT session, n, 'history.c', 95 FROM generate_series(first, first + 299) n;
	RETURN first + 300;
END $$;
SQL
	return $self;
}

# The script of one session: a client that knows no more than psql.
sub script
{
	my ($self, $session, $transactions) = @_;
	my $sql = "\\set n 1\n";

	for my $i (1 .. $transactions)
	{
		my $how = rand;
		my $publish = $how > 0.99 ? 'publish_many' : 'publish_some';

		# sessions of even number wait for each commit, and so have their order
		if ($how < 0.1 && $session % 2 == 1)
		{
			# the one after it commits first, now and then another session's
			$sql .= "BEGIN; SELECT $publish($session, :n) AS n \\gset\n"
			  . "PREPARE TRANSACTION 'h$session-$i';\n"
			  . "BEGIN; SELECT $publish($session, :n) AS n \\gset\nCOMMIT;\n"
			  . ($how < 0.03 ? 'ROLLBACK' : 'COMMIT') . " PREPARED 'h$session-$i';\n";
		}
		elsif ($how < 0.2)
		{
			$sql .= "BEGIN; SELECT $publish($session, :n) AS n \\gset\nROLLBACK;\n";
		}
		elsif ($how < 0.25)
		{
			$sql .= "BEGIN; SELECT $publish($session, :n) AS n \\gset\n"
			  . "SAVEPOINT s; SELECT $publish($session, :n) AS n \\gset\nROLLBACK TO s;\n"
			  . "SELECT $publish($session, :n) AS n \\gset\nSELECT pg_sleep(0.05);\nCOMMIT;\n";
		}
		else
		{
			$sql .= "SELECT $publish($session, :n) AS n \\gset\n";
		}
	}
	return $sql;
}

# Start publishers; each call has sessions of new numbers.
sub begin
{
	my ($self, $transactions) = @_;
	my $node = $self->{node};

	for (1 .. $self->{sessions})
	{
		my $run = { out => '', err => '' };
		my $script = $node->basedir . '/history_' . ++$self->{serial} . '.sql';

		# in a file: one that has lost its server and ends must not break a pipe
		append_to_file($script, $self->script($self->{serial}, $transactions));
		$run->{harness} = IPC::Run::start(
			# one that has lost its server and found it again would wait for what it has
			# prepared, at each statement anew: it ends at the first error
			[ 'psql', '-XAtq', '-v', 'ON_ERROR_STOP=1', '-d', $node->connstr($self->{database}) . " options='-c lock_timeout=5s'", '-f', $script ],
			'>', \$run->{out}, '2>', \$run->{err});
		push @{ $self->{running} }, $run;
	}
	return;
}

# Wait for them; they may have lost their server on the way.
sub finish
{
	my ($self) = @_;

	$_->{harness}->finish foreach @{ $self->{running} };
	my $errors = join '', map { $_->{err} } @{ $self->{running} };
	$self->{running} = [];
	return $errors;
}

# What there is to be delivered to each subscriber.
my $expected = <<'SQL';
SELECT v.subscriber, a.session, a.n FROM acknowledged a
JOIN (VALUES ('all', 'history.%', -1), ('rare', 'history.rare', -1), ('two', 'history.[ab]', -1),
	('filter', 'history.%', 90)) v (subscriber, pattern, above)
ON a.amount > v.above AND CASE v.subscriber WHEN 'two' THEN a.pattern ~ '^history.[ab]$' ELSE a.pattern LIKE v.pattern END
SQL

# Tests: all that was acknowledged was delivered, nothing else, each once, and
# for each session in its order (unless order => 0).
sub check
{
	my ($self, $what, %options) = @_;
	my ($node, $database) = @$self{qw(node database)};

	wait_until($node, $database,
		"SELECT (SELECT count(*) FROM ($expected) e) <= (SELECT count(*) FROM delivered)",
		"$what: as many delivered as were acknowledged");
	is($node->safe_psql($database, "SELECT count(*) FROM ($expected EXCEPT SELECT subscriber, session, n FROM delivered) x"),
		'0', "$what: no event is lost");
	is($node->safe_psql($database, "SELECT count(*) FROM (SELECT subscriber, session, n FROM delivered EXCEPT $expected) x"),
		'0', "$what: none was delivered that rolled back, or that nobody asked for");
	$self->check_order($what) if $options{order} // 1;
	is($node->safe_psql($database, 'SELECT count(*) FROM event_engine.event_dead_letters'),
		'0', "$what: none was given up");
	note($node->safe_psql($database,
		"SELECT count(*) || ' acknowledged, ' || (SELECT count(*) FROM delivered) || ' deliveries' FROM acknowledged"));
	return;
}

sub check_order
{
	my ($self, $what) = @_;
	my ($node, $database) = @$self{qw(node database)};

	is($node->safe_psql($database, <<'SQL'), '0', "$what: a transaction's events are in their order");
SELECT count(*) FROM (SELECT n, lag(n) OVER (PARTITION BY subscriber, session, xid ORDER BY nth) AS previous FROM delivered) d
WHERE n < previous
SQL
	is($node->safe_psql($database, <<'SQL'), '0', "$what: and so are a session's that waits for each commit");
SELECT count(*) FROM (SELECT n, lag(n) OVER (PARTITION BY subscriber, session ORDER BY nth) AS previous FROM delivered
	WHERE session % 2 = 0) d
WHERE n < previous
SQL
	return;
}

1;
