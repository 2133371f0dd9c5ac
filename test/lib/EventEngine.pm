# What the tests with servers of their own share.
#
#	use EventEngine;
#	my $node = new_server('main');				# library preloaded, started
#	my $node = new_server('late', preload => 0, conf => "work_mem = '8MB'");
#	new_database($node, 'shop');				# CREATE DATABASE and EXTENSION
#	wait_until($node, 'shop', 'SELECT count(*) = 3 FROM seen', 'all three seen');
package EventEngine;

use strict;
use warnings;

use Exporter 'import';
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

our @EXPORT = qw(new_server new_database poll wait_until wait_for_log_line);

# A new server, started; the options are preload (1 unless given), conf (lines
# of postgresql.conf), init (arguments of PostgreSQL::Test::Cluster's init; what
# is extra is added), start (1 unless given) and install_path (another server's).
sub new_server
{
	my ($name, %options) = @_;
	my $node = PostgreSQL::Test::Cluster->new($name,
		defined $options{install_path} ? (install_path => $options{install_path}) : ());
	my %init = @{ $options{init} // [] };
	my $extra = delete $init{extra} // [];

	$node->init(extra => [ '--locale=C.UTF-8', '-E', 'UTF8', @$extra ], %init);
	$node->append_conf('postgresql.conf',
		"shared_preload_libraries = 'event_engine'\n")
	  if $options{preload} // 1;
	$node->append_conf('postgresql.conf', $options{conf} . "\n")
	  if defined $options{conf};
	$node->start if $options{start} // 1;
	return $node;
}

# A database that has the extension.
sub new_database
{
	my ($node, $name) = @_;

	$node->safe_psql('postgres', "CREATE DATABASE $name");
	$node->safe_psql($name, 'CREATE EXTENSION event_engine');
	return;
}

# Until the query answers true, also of a server that crashes meanwhile: psql
# may then have gone before it could be told the query, and IPC::Run dies of it.
sub poll
{
	my ($node, $database, $query) = @_;
	my $tries = $PostgreSQL::Test::Utils::timeout_default;

	for (1 .. $tries)
	{
		my $true = eval { $node->poll_query_until($database, $query) ? 1 : 0 };

		return $true if defined $true;
		die $@ unless $@ =~ /Broken pipe/;
	}
	return 0;
}

# A test of its own: the query answers true in the end.  What it answered
# instead, and what the processes were doing, is told if it never does.
sub wait_until
{
	my ($node, $database, $query, $what) = @_;

	return 1 if ok(poll($node, $database, $query), $what);
	diag($node->psql($database, <<'SQL'));
SELECT backend_type, datname, state, wait_event_type, wait_event, left(query, 80)
FROM pg_stat_activity WHERE pid <> pg_backend_pid()
SQL
	return 0;
}

# A test of its own: from $offset on the log comes to say $regexp.
sub wait_for_log_line
{
	my ($node, $regexp, $offset, $what) = @_;
	my $tries = 10 * $PostgreSQL::Test::Utils::timeout_default;

	for (1 .. $tries)
	{
		my $log = slurp_file($node->logfile, $offset);
		return pass($what) if $log =~ $regexp;
		select undef, undef, undef, 0.1;
	}
	return fail($what);
}

1;
