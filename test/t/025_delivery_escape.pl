# In an executor a handler is its owner, logged in: it gets no more rights, what
# it changes in its session is undone before the next batch, and what it has
# deferred runs in its own name.  Whoever names a database chooses no directory.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib";

use EventEngine;
use PostgreSQL::Test::Utils;
use Test::More;

my $archive = PostgreSQL::Test::Utils::tempdir;
mkdir "$archive/inner";
my $node = new_server('main', conf => <<"CONF");
event_engine.operations_archive_directory = '$archive/inner'
event_engine.delivery_poll_interval = 100
CONF

$node->safe_psql('postgres', 'CREATE ROLE app LOGIN; CREATE ROLE app_team; GRANT app_team TO app; CREATE ROLE other LOGIN');
new_database($node, 'shop');
$node->safe_psql('shop', <<'SQL');
SELECT event_engine.register_event_definition(p) FROM unnest('{try,look}'::text[]) AS p;
CREATE SCHEMA app AUTHORIZATION app;
CALL event_engine.grant_duty('subscriber', 'app');
SET ROLE app;
CREATE TABLE app.later (n integer);
CREATE TABLE app.ran_as (who name);
CREATE FUNCTION app.deferred() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN INSERT INTO app.ran_as VALUES (current_user); RETURN NULL; END $$;
CREATE CONSTRAINT TRIGGER later AFTER INSERT ON app.later DEFERRABLE INITIALLY DEFERRED
	FOR EACH ROW EXECUTE FUNCTION app.deferred();
CREATE PROCEDURE app.commits() LANGUAGE plpgsql AS $$ BEGIN COMMIT; END $$;
CREATE TABLE app.attempts (nth integer GENERATED ALWAYS AS IDENTITY, attempt text, outcome text);
INSERT INTO app.attempts (attempt) VALUES
	('SET ROLE postgres'), ('SET ROLE other'), ('SET SESSION AUTHORIZATION other'), ('RESET SESSION AUTHORIZATION'),
	('CALL app.commits()'), ('LISTEN x'), ('ALTER ROLE app SUPERUSER'),
	('SET session_replication_role = replica'), ('SET event_engine.validation_enabled = off'),
	('UPDATE event_engine.subscriptions SET owner = 10'), ('SELECT 1 FROM event_engine.event_keys'),
	('INSERT INTO app.later VALUES (1)'), ('SELECT pg_advisory_lock(7)'),
	('SET search_path = app, pg_catalog'), ('SET row_security = off'), ('SET statement_timeout = 1000000'),
	('SET default_transaction_read_only = on'), ('SET event_engine.delivery_immediate = on'),
	('CREATE TEMP TABLE subscriptions (number integer)'), ('CREATE TEMP VIEW events AS SELECT 1 AS seq'),
	('SET ROLE app_team');
CREATE FUNCTION app.try(e event_engine.event) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
	a record;
	result text;
BEGIN
	FOR a IN SELECT * FROM app.attempts ORDER BY nth LOOP
		BEGIN
			EXECUTE a.attempt;
			result := 'done';
		EXCEPTION WHEN OTHERS THEN
			result := SQLSTATE;
		END;
		PERFORM pg_catalog.set_config('role', 'none', false);
		UPDATE app.attempts SET outcome = result WHERE nth = a.nth;
	END LOOP;
	SET ROLE app_team;
END $$;
CREATE TABLE app.seen (who name, session name, role text, settings jsonb, pid integer);
CREATE FUNCTION app.look(e event_engine.event) RETURNS void LANGUAGE sql AS $$
	INSERT INTO app.seen SELECT current_user, session_user, current_setting('role'),
		(SELECT jsonb_object_agg(n, current_setting(n)) FROM unnest('{search_path,row_security,statement_timeout,
			default_transaction_read_only,event_engine.delivery_immediate}'::text[]) AS n), pg_backend_pid()
$$;
SELECT event_engine.subscribe('try', '{try}', 'app.try', options => '{"max_attempts": 1}');
SELECT event_engine.subscribe('look', '{look}', 'app.look');
RESET ROLE;
SQL
sub look
{
	my ($n, $what) = @_;

	$node->safe_psql('shop', q(SELECT event_engine.publish_event('look', '{}')));
	return wait_until($node, 'shop', "SELECT count(*) = $n FROM app.seen", $what);
}
look(1, 'before');
$node->safe_psql('shop', q(SELECT event_engine.publish_event('try', '{}')));
wait_until($node, 'shop', 'SELECT bool_and(outcome IS NOT NULL) FROM app.attempts', 'all is tried');
look(2, 'after');
is($node->safe_psql('shop', 'SELECT attempt, outcome FROM app.attempts ORDER BY nth'), <<'DONE' =~ s/\n\z//r, 'what came of it');
SET ROLE postgres|42501
SET ROLE other|42501
SET SESSION AUTHORIZATION other|42501
RESET SESSION AUTHORIZATION|done
CALL app.commits()|2D000
LISTEN x|0A000
ALTER ROLE app SUPERUSER|42501
SET session_replication_role = replica|42501
SET event_engine.validation_enabled = off|42501
UPDATE event_engine.subscriptions SET owner = 10|42501
SELECT 1 FROM event_engine.event_keys|42501
INSERT INTO app.later VALUES (1)|done
SELECT pg_advisory_lock(7)|done
SET search_path = app, pg_catalog|done
SET row_security = off|done
SET statement_timeout = 1000000|done
SET default_transaction_read_only = on|done
SET event_engine.delivery_immediate = on|done
CREATE TEMP TABLE subscriptions (number integer)|done
CREATE TEMP VIEW events AS SELECT 1 AS seq|done
SET ROLE app_team|done
DONE
is($node->safe_psql('shop', 'SELECT who FROM app.ran_as'), 'app', 'what was deferred ran as the owner');
is($node->safe_psql('shop', 'SELECT count(DISTINCT (who, session, role, settings)), min(who), count(DISTINCT pid) FROM app.seen'), '1|app|1',
	'the session of the same process is as before');
is($node->safe_psql('shop', q(SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND objid = 7)), '0', 'and holds no lock');
is($node->safe_psql('shop', 'SELECT count(*) FROM event_engine.event_dead_letters'), '0', 'nothing failed');

# The name of a database is part of that of an archive.
$node->safe_psql('postgres', 'ALTER DATABASE shop RENAME TO "../outer/x"');
mkdir "$archive/outer";
$node->safe_psql('../outer/x', <<'SQL');
CREATE TABLE event_engine.events_20010101 (LIKE event_engine.events_default INCLUDING ALL);
INSERT INTO event_engine.events_20010101 (id, pattern, source, "timestamp", payload, metadata, created_at, priority, created_by, seq, xid)
	SELECT gen_random_uuid(), 'look', '{}', '2001-01-01 12:00', '{}', '{}', '2001-01-01 12:00', 'normal', 'test',
		nextval('event_engine.event_seq'), pg_current_xact_id();
ALTER TABLE event_engine.events ATTACH PARTITION event_engine.events_20010101 FOR VALUES FROM ('2001-01-01') TO ('2001-01-02');
INSERT INTO event_engine.event_partitions (relid, lower, upper) VALUES ('event_engine.events_20010101', '2001-01-01', '2001-01-02');
SELECT event_engine.set_retention('#', '1 day', archive_file => true);
SQL
$node->restart;
wait_until($node, '../outer/x', q(SELECT to_regclass('event_engine.events_20010101') IS NULL), 'the partition goes');
is(scalar(my @out = glob("$archive/outer/*")), 0, 'nothing is written elsewhere');
is(scalar(my @in = glob("$archive/inner/*2E*")), 1, 'but where archives belong');
$node->stop;
done_testing();
