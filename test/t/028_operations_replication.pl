# The log is replicated to a second server, into a plain table, with partitions as
# they are made and go; it is relayed into the log of another, through a table;
# and what would mix two logs is refused.  Whoever publishes all tables can go on.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib";

use Backlog;
use EventEngine;
use Test::More;

my $first = new_server('first', conf => backlog_conf(), init => [ allows_streaming => 'logical' ]);
my $second = new_server('second', conf => backlog_conf());
backlog_roles($first);
new_database($first, 'shop');
fill_backlog($first, 'shop');
my $from = $first->connstr('shop') =~ tr/'//dr;

# ---- a copy of the log in a plain table

$first->safe_psql('shop', <<'SQL');
CREATE PUBLICATION event_log FOR TABLE event_engine.events
	WITH (publish = 'insert', publish_via_partition_root = true);
SQL
$second->safe_psql('postgres', 'CREATE DATABASE copy');
$second->safe_psql('copy', <<"SQL");
CREATE SCHEMA event_engine;
CREATE TABLE event_engine.events (
	id uuid PRIMARY KEY, event_id text, pattern text, version text, source jsonb, "timestamp" timestamptz,
	payload jsonb, metadata jsonb, created_at timestamptz, partition_key text, aggregate_type text,
	aggregate_version bigint, priority text, created_by text, deliver_at timestamptz, seq bigint, xid xid8);
CREATE SUBSCRIPTION event_log CONNECTION '$from' PUBLICATION event_log;
SQL
my $log = 'SELECT count(*), md5(string_agg(e::text, chr(10) ORDER BY seq)) FROM event_engine.events AS e';
my $is_copied = sub {
	my ($what) = @_;
	my $now = $first->safe_psql('shop', $log);
	my ($count, $md5) = split /\|/, $now;
	wait_until($second, 'copy', "SELECT (count, md5) = ($count, '$md5') FROM ($log) AS l(count, md5)", $what);
};
$is_copied->('all is copied');
$first->safe_psql('shop', 'SELECT publish(601, 650)');
$first->safe_psql('shop', 'BEGIN; SELECT publish(651, 660); ROLLBACK');
$is_copied->('and follows');

# ---- the first server goes on, with all its tables published

$first->safe_psql('shop', 'CREATE PUBLICATION everything FOR ALL TABLES');
is($first->safe_psql('shop', <<'SQL'), '', 'every row of every table can be told from others');
SELECT c.relname FROM pg_class AS c WHERE relnamespace = 'event_engine'::regnamespace AND relkind IN ('r', 'p') AND relreplident = 'd'
	AND NOT EXISTS (SELECT FROM pg_index WHERE indrelid = c.oid AND indisprimary) AND relname <> 'events'
SQL
$first->safe_psql('shop', q(DELETE FROM event_engine.event_milestones));
backlog_goes_on($first, 'shop', 'published');
$first->safe_psql('shop', q(SELECT event_engine.unsubscribe('paused')));
$first->safe_psql('shop', 'DROP PUBLICATION everything');

# a partition has gone there, and the history is kept here
is($second->safe_psql('copy', q(SELECT count(*) FROM event_engine.events WHERE pattern = 'past.event')), '20', 'what left the log is still in the copy');

# a slot that nobody reads holds up no partition, but WAL, and the doctor says so
$second->safe_psql('copy', 'ALTER SUBSCRIPTION event_log DISABLE');
wait_until($first, 'postgres', q(SELECT NOT active FROM pg_replication_slots WHERE slot_name = 'event_log'), 'the copy is stopped');
is($first->safe_psql('shop', q(SELECT count(*) FROM event_engine.stat_retention WHERE state = 'held')), '0', 'retention does not wait for it');
$first->safe_psql('shop', 'SELECT publish(661, 670)');
$second->safe_psql('copy', 'ALTER SUBSCRIPTION event_log ENABLE');
wait_until($second, 'copy', 'SELECT count(*) = 10 FROM event_engine.events WHERE (payload ->> \'i\')::int BETWEEN 661 AND 670', 'it catches up');

# ---- into the log of another: refused

new_database($second, 'log');
my $offset = -s $second->logfile;
$second->safe_psql('log', <<"SQL");
CREATE SUBSCRIPTION wrong CONNECTION '$from' PUBLICATION event_log WITH (slot_name = 'wrong');
SQL
wait_for_log_line($second, qr/events of another server cannot be replicated into event_engine\.events/, $offset, 'a log does not take in another');
is($second->safe_psql('log', 'SELECT count(*) FROM event_engine.events'), '0', 'nothing of it is there');
$second->safe_psql('log', 'DROP SUBSCRIPTION wrong');

# ---- into the log of another: published there again, once

$first->safe_psql('shop', <<'SQL');
CREATE TABLE outgoing (LIKE event_engine.events);
ALTER TABLE outgoing ADD PRIMARY KEY (id);
CREATE FUNCTION send(e event_engine.event[]) RETURNS void LANGUAGE sql AS $$
	INSERT INTO public.outgoing SELECT (u).* FROM unnest(e) AS u $$;
SELECT event_engine.subscribe('outgoing', '{backlog.event}', 'send');
CREATE PUBLICATION outgoing FOR TABLE outgoing WITH (publish = 'insert');
SQL
$second->safe_psql('log', <<"SQL");
SELECT event_engine.register_event_definition('backlog.event');
CREATE TABLE outgoing (LIKE event_engine.events);
ALTER TABLE outgoing ADD PRIMARY KEY (id);
CREATE FUNCTION receive() RETURNS trigger LANGUAGE plpgsql AS \$\$ BEGIN
	PERFORM event_engine.publish_event(NEW.pattern, NEW.payload, NEW.metadata, NEW.source, NEW.id::text, NEW."timestamp",
		partition_key => NEW.partition_key);
	RETURN NULL;
END \$\$;
CREATE TRIGGER receive BEFORE INSERT ON outgoing FOR EACH ROW EXECUTE FUNCTION receive();
ALTER TABLE outgoing ENABLE ALWAYS TRIGGER receive;
CREATE TABLE seen (i int);
CREATE FUNCTION see(e event_engine.event) RETURNS void LANGUAGE sql AS \$\$ INSERT INTO public.seen VALUES ((e.payload ->> 'i')::int) \$\$;
SELECT event_engine.subscribe('see', '{backlog.event}', 'see');
CREATE SUBSCRIPTION incoming CONNECTION '$from' PUBLICATION outgoing;
SQL
# a crash while the table is copied at first is not what is tried here
wait_until($second, 'log', q(SELECT bool_and(srsubstate = 'r') FROM pg_subscription_rel), 'the table follows');
$first->safe_psql('shop', 'SELECT publish(701, 800)');
wait_until($second, 'log', 'SELECT count(*) = 100 FROM seen WHERE i BETWEEN 701 AND 800', 'events of one are handled by the other');
$second->stop('immediate');
$second->start;
$first->safe_psql('shop', 'SELECT publish(801, 900)');
wait_until($second, 'log', 'SELECT count(*) = 100 FROM seen WHERE i BETWEEN 801 AND 900', 'after a crash too');
is($second->safe_psql('log', 'SELECT i FROM seen WHERE i BETWEEN 701 AND 900 GROUP BY i HAVING count(*) > 1'), '', 'each once');
is($second->safe_psql('log', 'SELECT count(*) FROM outgoing'), '0', 'and stored once');

$second->safe_psql('log', 'DROP SUBSCRIPTION incoming');
$second->safe_psql('copy', 'DROP SUBSCRIPTION event_log');
$_->stop foreach $first, $second;
done_testing();
