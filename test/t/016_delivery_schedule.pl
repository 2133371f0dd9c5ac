# Events on a schedule, with the real pg_cron: it publishes by the clock of the
# zone that is named, in the name of whoever asked; paused, resumed, removed.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib";

use EventEngine;
use PostgreSQL::Test::Utils;
use Test::More;

my ($sharedir) = run_command([ 'pg_config', '--sharedir' ]);
plan skip_all => 'pg_cron is not installed (Debian: postgresql-15-cron)'
  if !-e "$sharedir/extension/pg_cron.control";

my $node = new_server('schedule', preload => 0, conf => <<'CONF');
shared_preload_libraries = 'event_engine, pg_cron'
cron.use_background_workers = on
max_worker_processes = 20
CONF
new_database($node, 'elsewhere');
$node->safe_psql('postgres', 'CREATE EXTENSION event_engine');

# What is missing is said.
my $schedule = q{SELECT event_engine.schedule_event('tick', '* * * * *', 'clock.ticked')};
my (undef, undef, $err) = $node->psql('elsewhere', $schedule);
like($err, qr/pg_cron is not installed in this database/, 'it is not there');
like($err, qr/HINT:.*database "postgres".*cron.database_name/, 'and could be in one database only');
(undef, undef, $err) = $node->psql('postgres', $schedule);
like($err, qr/HINT:  CREATE EXTENSION pg_cron/, 'it is only to be created');

$node->safe_psql('postgres', <<'SQL');
CREATE EXTENSION pg_cron;
SELECT event_engine.register_event_definition('clock.ticked');
CREATE ROLE clockmaker LOGIN;
CALL event_engine.grant_duty('publisher', 'clockmaker');
SQL
my $as = 'SET ROLE clockmaker;';
(undef, undef, $err) = $node->psql('postgres', "$as $schedule");
like($err, qr/permission denied for schema cron/, 'a role may not use pg_cron unless it was allowed to');
is($node->safe_psql('postgres', 'SELECT count(*) FROM event_engine.list_event_schedules()'),
	0, 'and nothing is left of it');
$node->safe_psql('postgres', 'GRANT USAGE ON SCHEMA cron TO clockmaker');

# A quarter past nine somewhere is not now; every minute is, and so is the
# minute to come by the clock of a zone that is hours and a half away.
$node->safe_psql('postgres', <<"SQL");
$as
SELECT event_engine.schedule_event('tick', '* * * * *', 'clock.ticked', '{"from": "tick"}', partition_key => 'ticks');
SELECT event_engine.schedule_event('paused', '* * * * *', 'clock.ticked', '{"from": "paused"}');
SELECT event_engine.pause_event_schedule('paused');
SELECT event_engine.schedule_event('gone', '* * * * *', 'clock.ticked', '{"from": "gone"}');
SELECT event_engine.unschedule_event('gone');
SELECT event_engine.schedule_event('late', to_char(now() + interval '26 hours', '"0 "HH24" * * *"'), 'clock.ticked', '{"from": "late"}');
SELECT event_engine.schedule_event('abroad',
	(SELECT to_char((m.m AT TIME ZONE 'Asia/Kathmandu'), 'MI HH24 DD "* *"')
		FROM (SELECT date_trunc('minute', clock_timestamp()) + interval '1 minute'
			+ CASE WHEN extract(second FROM clock_timestamp()) > 45 THEN interval '1 minute' ELSE '0' END) AS m (m)),
	'clock.ticked', '{"from": "abroad"}', time_zone => 'Asia/Kathmandu');
SQL
is($node->safe_psql('postgres', q{SELECT jobname, schedule, username, active FROM cron.job ORDER BY jobname}),
	"event_engine:abroad|* * * * *|clockmaker|t\nevent_engine:late|0 * * * *|clockmaker|t\nevent_engine:tick|* * * * *|clockmaker|t",
	'jobs in the name of whoever asked, as often as need be');
wait_until($node, 'postgres', <<'SQL', 'pg_cron publishes, at home and abroad');
SELECT count(DISTINCT payload ->> 'from') = 2 FROM event_engine.events WHERE pattern = 'clock.ticked'
SQL
is($node->safe_psql('postgres', <<'SQL'), 't', 'only what is due, as its owner, with the time that was meant');
SELECT bool_and(payload ->> 'from' IN ('tick', 'abroad') AND created_by = 'clockmaker'
	AND "timestamp" = date_trunc('minute', "timestamp")
	AND created_at - "timestamp" BETWEEN '0' AND '65 s') FROM event_engine.events
SQL
is($node->safe_psql('postgres', "SELECT count(*) FROM event_engine.events WHERE payload ->> 'from' = 'abroad'"),
	1, 'once');
is($node->safe_psql('postgres', <<"SQL"), "abroad|t|t|t\nlate|t|t|f\npaused|f||f\ntick|t|t|t", 'the list tells');
SELECT name, active, next_at > clock_timestamp(), published_at IS NOT NULL AND event_id IS NOT NULL
FROM event_engine.list_event_schedules() ORDER BY name
SQL

# Resumed it has its job again; without pg_cron it can still be removed.
$node->safe_psql('postgres', "$as SELECT event_engine.resume_event_schedule('paused')");
is($node->safe_psql('postgres', q{SELECT count(*) FROM cron.job WHERE jobname = 'event_engine:paused'}),
	1, 'resumed');
$node->safe_psql('postgres', 'DROP EXTENSION pg_cron');
$node->safe_psql('postgres', "$as SELECT event_engine.unschedule_event(name) FROM event_engine.list_event_schedules()");
is($node->safe_psql('postgres', 'SELECT count(*) FROM event_engine.event_schedules'), 0, 'removed');

$node->stop;
done_testing();
