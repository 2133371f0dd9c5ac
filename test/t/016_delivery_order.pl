# Handlers fail, alone and at the commit, executors are killed, sessions deliver
# in between: the events of a key keep their order and have their effects once.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib";

use EventEngine;
use IPC::Run;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(usleep);

my $publishers = 3;
my $events = 1500;
my $node = new_server('order', conf => <<'CONF');
restart_after_crash = on
event_engine.delivery_poll_interval = 200ms
event_engine.worker_launch_interval = 200ms
event_engine.delivery_batch_time = 20ms
event_engine.worker_idle_timeout = 2s
log_min_messages = fatal
CONF

new_database($node, 'shop');
$node->safe_psql('shop', <<'SQL');
SELECT event_engine.register_event_definition('step');
CREATE SEQUENCE extra;
CREATE TABLE delivered (at bigint GENERATED ALWAYS AS IDENTITY, subscriber text, key text, n integer);
CREATE FUNCTION note(subscriber text, e event_engine.event) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
	INSERT INTO delivered (subscriber, key, n) VALUES (subscriber, e.partition_key, (e.payload ->> 'n')::integer);
	IF random() < 0.05 THEN RAISE 'not now'; END IF;
END $$;
CREATE FUNCTION patient(e event_engine.event) RETURNS void LANGUAGE sql AS $$ SELECT note('patient', e) $$;
CREATE FUNCTION hasty(e event_engine.event) RETURNS void LANGUAGE sql AS $$ SELECT note('hasty', e) $$;
CREATE FUNCTION strict(e event_engine.event) RETURNS void LANGUAGE sql AS $$ SELECT note('strict', e) $$;
CREATE FUNCTION arrays(e event_engine.event[]) RETURNS void LANGUAGE sql AS $$ SELECT count(note('arrays', x)) FROM unnest(e) AS x $$;
CREATE FUNCTION late(e event_engine.event) RETURNS void LANGUAGE sql AS
	$$ INSERT INTO delivered (subscriber, key, n) VALUES ('late', e.partition_key, (e.payload ->> 'n')::integer) $$;
-- fails when the transaction commits
CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS
	$$ BEGIN IF random() < 0.01 THEN RAISE 'not at last'; END IF; RETURN NULL; END $$;
CREATE CONSTRAINT TRIGGER refuse AFTER INSERT ON delivered DEFERRABLE INITIALLY DEFERRED
	FOR EACH ROW WHEN (new.subscriber = 'late') EXECUTE FUNCTION refuse();
SELECT event_engine.subscribe(s, '{step}', s, options => '{"ordered": true, "max_attempts": 1000, "breaker_threshold": 0, "backoff_ms": 5, "backoff_factor": 1}')
	FROM unnest('{patient,arrays,late}'::text[]) AS s;
SELECT event_engine.subscribe('hasty', '{step}', 'hasty', options => '{"ordered": true, "max_attempts": 1, "breaker_threshold": 0, "backoff_ms": 5}');
SELECT event_engine.subscribe('strict', '{step}', 'strict', options => '{"ordered": true, "max_attempts": 1, "breaker_threshold": 0, "backoff_ms": 5, "on_dead_letter": "halt"}');
SQL

my @sessions;
foreach my $publisher (1 .. $publishers)
{
	my $in = <<"SQL";
DO \$\$ BEGIN FOR i IN 1 .. $events LOOP
	PERFORM event_engine.publish_event('step', jsonb_build_object('n', i), partition_key => '$publisher-' || i % 20);
	COMMIT;
	IF i % 50 = 0 THEN PERFORM pg_sleep(0.05); END IF;
END LOOP; END \$\$;
SQL
	my ($out, $err) = ('', '');
	push @sessions,
	  IPC::Run::start([ 'psql', '-XAtq', '-d', $node->connstr('shop') ], '<', \$in, '>', \$out, '2>', \$err);
}
# A signal to the executors.  They are there, or come when something is published;
# the server may be down because of the last one.
sub hit
{
	my ($signal) = @_;
	my $tries = 10 * $PostgreSQL::Test::Utils::timeout_default;

	for my $try (1 .. $tries)
	{
		my $pids = '';

		eval { $node->psql('shop', "SELECT event_engine.publish_event('step', jsonb_build_object('n', nextval('extra')), partition_key => 'extra')") };
		eval { $node->psql('postgres', "SELECT pid FROM pg_stat_activity WHERE backend_type = 'event_engine executor'", stdout => \$pids) };
		return pass("executors are hit by SIG$signal") if $pids && kill($signal, split /\n/, $pids);
		usleep(100_000);
	}
	return fail("executors are hit by SIG$signal");
}

foreach my $round (1 .. 8)
{
	usleep(100_000 + rand(200_000));
	# somebody else delivers in between; a process that is killed takes the others with it,
	# and publishers as well
	if ($round % 3 == 0) { $node->psql('shop', 'SELECT event_engine.process_batch(200)'); }
	else { hit('TERM'); }
}
foreach my $session (@sessions)
{
	ok(IPC::Run::finish($session), 'a publisher is done');
}
foreach my $round (1 .. 3)
{
	hit('KILL');
	usleep(100_000);
	poll($node, 'postgres', 'SELECT true');
}

my $all = $node->safe_psql('shop', 'SELECT count(*) FROM event_engine.events');
cmp_ok($all, '>', $publishers * $events, 'all is published');
wait_until($node, 'shop', <<'SQL', 'nothing is left but what is halted');
SELECT count(*) = 0 FROM event_engine.deliveries WHERE status NOT IN ('halted', 'parked') OR subscription_number <> (
	SELECT number FROM event_engine.subscriptions WHERE subscriber = 'strict')
SQL
wait_until($node, 'shop', "SELECT count(*) = $all FROM delivered WHERE subscriber = '$_'", "$_ has all")
  foreach ('patient', 'arrays', 'late');
wait_until($node, 'shop', <<"SQL", 'hasty has all but its dead letters');
SELECT count(*) + (SELECT count(*) FROM event_engine.event_dead_letters WHERE subscriber = 'hasty') = $all
FROM delivered WHERE subscriber = 'hasty'
SQL

# What is halted goes on once a person has decided, again and again.
my $redrives = 0;
while ($redrives++ < 2000 && $node->safe_psql('shop', "SELECT count(*) FROM delivered WHERE subscriber = 'strict'") < $all)
{
	$node->safe_psql('shop', "SELECT event_engine.redrive_dead_letters(subscriber => 'strict')");
	usleep(50_000);
}
cmp_ok($redrives, '>', 1, 'dead letters were redriven');
is($node->safe_psql('shop', "SELECT count(*) FROM delivered WHERE subscriber = 'strict'"), $all, 'strict has all');

is($node->safe_psql('shop', 'SELECT count(*) FROM (SELECT FROM delivered GROUP BY subscriber, key, n HAVING count(*) > 1) AS d'),
	'0', 'no effect happened twice');
is($node->safe_psql('shop', <<'SQL'), '', 'each key was delivered in order');
SELECT subscriber, key, n FROM (SELECT *, lag(n) OVER (PARTITION BY subscriber, key ORDER BY at) AS before FROM delivered) AS d
WHERE n < before LIMIT 10
SQL
is($node->safe_psql('shop', 'SELECT count(*) FROM event_engine.deliveries'), '0', 'nothing is left');
$node->stop;
done_testing();
