# Every way to dump a database and to restore it, with a backlog: all rows come
# along, whatever order they are loaded in, and all goes on, in a cluster whose
# transaction ids are lower.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib";

use Backlog;
use EventEngine;
use PostgreSQL::Test::Utils;
use Test::More;

my $dumps = PostgreSQL::Test::Utils::tempdir();
my $source = new_server('source', conf => backlog_conf());

backlog_roles($source);
# what the target has not reached
$source->safe_psql('postgres', 'DO $$ BEGIN FOR i IN 1..4000 LOOP PERFORM pg_current_xact_id(); COMMIT; END LOOP; END $$');
new_database($source, 'shop');
fill_backlog($source, 'shop');
my $rows = backlog_rows($source, 'shop');

# Of the schemas alone the extension is not part, and has to be asked for.
my @schemas = ('-n', 'public', '-n', 'event_engine', '-e', 'event_engine');
dump_to('plain', '-Fp');
dump_to('custom', '-Fc');
dump_to('directory', '-Fd', '-j', '2');
dump_to('schemas', '-Fc', @schemas);
dump_to('structure', '-Fc', '--schema-only');
dump_to('data', '-Fc', '--data-only');
dump_to('public', '-Fc', '-n', 'public');
$source->command_ok([ 'pg_dumpall', '-d', $source->connstr('postgres'), '-f', "$dumps/all" ], 'all databases dumped');
$source->stop;

my $target = new_server('target', conf => backlog_conf() . "event_engine.delivery_enabled = off\n");
my $restore = [ 'pg_restore', '--exit-on-error' ];
my @clean = ('-c', '--if-exists');    # the schema public, which is there
backlog_roles($target);

my %goes_on = map { $_ => 1 } 'parallel', 'plain', 'reversed';

restored('plain', [ 'psql', '-qX', '-v', 'ON_ERROR_STOP=1', '-f', "$dumps/plain" ]);
restored('custom', [ @$restore, "$dumps/custom" ]);
restored('once', [ @$restore, '-1', "$dumps/custom" ]);
restored('directory', [ @$restore, "$dumps/directory" ]);
restored('parallel', [ @$restore, '-j', '3', "$dumps/directory" ]);
restored('schemas', [ @$restore, @clean, "$dumps/schemas" ]);
restored('sections', map { [ @$restore, "--section=$_", "$dumps/custom" ] } 'pre-data', 'data', 'post-data');
restored('halves', [ @$restore, "$dumps/structure" ], [ @$restore, "$dumps/data" ]);

# The order that a parallel restore may choose: where the sequence stands, then
# the events, the newest first, and what cluster they are from in between.
my ($list) = run_command([ 'pg_restore', '-l', "$dumps/custom" ]);
my @lines = split /\n/, $list;
my %is = (
	sequence => qr/SEQUENCE SET event_engine/,
	state => qr/TABLE DATA event_engine event_log_state/,
	events => qr/TABLE DATA event_engine events_/);
my @rest = grep { my $line = $_; !grep { $line =~ $_ } values %is } @lines;
my ($first) = grep { $rest[$_] =~ /TABLE DATA/ } 0 .. $#rest;
append_to_file("$dumps/list", join("\n", @rest[ 0 .. $first - 1 ], (grep { /$is{sequence}/ } @lines),
	(reverse grep { /$is{events}/ } @lines), (grep { /$is{state}/ } @lines), @rest[ $first .. $#rest ]) . "\n");
restored('reversed', [ @$restore, '-L', "$dumps/list", "$dumps/custom" ]);

# The database belongs to somebody who is no superuser.
$target->safe_psql('postgres', 'CREATE DATABASE owners OWNER backlog_owner');
$target->command_ok([ @$restore, '-d', $target->connstr('owners'), "$dumps/custom" ], 'into a database of another owner');
is(backlog_rows($target, 'owners'), $rows, 'every row came along');
$target->safe_psql('postgres', 'DROP DATABASE owners');

# What is without the extension says so, and can be had with it.
$target->safe_psql('postgres', 'CREATE DATABASE public');
$target->command_fails_like([ @$restore, @clean, '-d', $target->connstr('public'), "$dumps/public" ],
	qr/schema "event_engine" does not exist/,
	'functions of one schema need the extension');
$target->safe_psql('postgres', 'CREATE DATABASE public2');
$target->safe_psql('public2', 'CREATE EXTENSION event_engine');
$target->command_ok([ @$restore, @clean, '-d', $target->connstr('public2'), "$dumps/public" ], 'which may be made first');
is($target->safe_psql('public2', 'SELECT (SELECT count(*) > 0 FROM seen), (SELECT count(*) FROM event_engine.events)'), 't|0',
	'the log is not in it');
$target->safe_psql('postgres', 'DROP DATABASE public2');

# Nobody but a superuser says what position an event had.
$target->safe_psql('postgres', 'CREATE DATABASE other OWNER backlog_owner');
$target->command_fails_like([ @$restore, '-U', 'backlog_owner', '-d', $target->connstr('other'), "$dumps/custom" ],
	qr/permission denied to create extension/, 'a restore takes a superuser');

foreach my $database (sort keys %goes_on)
{
	$target->safe_psql('postgres', "ALTER DATABASE $database WITH ALLOW_CONNECTIONS true");
	backlog_goes_on($target, $database, $database);
	delivery_off($target);
}
$target->stop;

# A whole cluster.
my $whole = new_server('whole', conf => backlog_conf() . "event_engine.delivery_enabled = off\n");
$whole->command_ok([ 'psql', '-qX', '-d', $whole->connstr('postgres'), '-f', "$dumps/all" ], 'a whole cluster restored');
is(backlog_rows($whole, 'shop'), $rows, 'every row came along');
backlog_goes_on($whole, 'shop', 'whole');
$whole->stop;
done_testing();

sub dump_to
{
	my ($name, @options) = @_;

	return $source->command_ok([ 'pg_dump', '-d', $source->connstr('shop'), '-f', "$dumps/$name", @options ], "$name: dumped");
}

# Into a new database of that name, by these commands.
sub restored
{
	my ($name, @commands) = @_;

	$target->safe_psql('postgres', "CREATE DATABASE $name");
	foreach my $command (@commands)
	{
		my ($program, @arguments) = @$command;
		$target->command_ok([ $program, '-d', $target->connstr($name), @arguments ], "$name: restored without an error");
	}
	is(backlog_rows($target, $name), $rows, "$name: every row came along");
	is($target->safe_psql($name, 'SELECT system_identifier FROM event_engine.event_log_state'), '0', "$name: it is known to come from elsewhere");
	$target->safe_psql('postgres', "DROP DATABASE $name") unless $goes_on{$name};
	# so that one after the other does
	$target->safe_psql('postgres', "ALTER DATABASE $name WITH ALLOW_CONNECTIONS false") if $goes_on{$name};
	return;
}
