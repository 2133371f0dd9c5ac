# pg_upgrade from 15 to 17 to 18, and from 15 to 18, with a backlog: every row
# comes along, transaction ids go on, and nothing is lost or repeated.  The
# servers are those in EE_SERVERS (see .ci/check-upgrade); without, nothing is
# tried.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib";

use Backlog;
use EventEngine;
use PostgreSQL::Test::Utils;
use Test::More;

my $servers = $ENV{EE_SERVERS};

SKIP:
{
	skip 'without servers of several versions: try make check-upgrade', 1 unless $servers;
	# what the older ones need, and the newest Debian does not have
	$ENV{LD_LIBRARY_PATH} = "$servers/lib";
	chdir PostgreSQL::Test::Utils::tempdir();

	my $first = server(15, 'first');
	$first->start;
	backlog_roles($first);
	new_database($first, 'shop');
	fill_backlog($first, 'shop');
	$first->safe_psql('postgres', 'CREATE DATABASE other');    # without the extension
	my $rows = backlog_rows($first, 'shop');
	my $xid = $first->safe_psql('shop', 'SELECT pg_current_xact_id()');
	$first->stop;

	my $second = server(17, 'second');
	upgraded($first, $second, '--copy', $rows);
	cmp_ok($second->safe_psql('shop', 'SELECT pg_current_xact_id()'), '>', $xid, 'transaction ids go on');
	$second->stop;
	my $third = server(18, 'third');
	upgraded($second, $third, '--copy', $rows);
	backlog_goes_on($third, 'shop', '15 to 17 to 18');
	$third->stop;

	# what was copied is still there
	$second->start;
	backlog_goes_on($second, 'shop', '15 to 17');
	$second->stop;
	$first->start;
	$first->stop;
	my $fourth = server(18, 'fourth');
	upgraded($first, $fourth, '--link', $rows);
	backlog_goes_on($fourth, 'shop', '15 to 18');
	$fourth->stop;
}
pass('done');
done_testing();

# A server of that version, preloaded, delivery off.
sub server
{
	my ($version, $name) = @_;
	my $path = "$servers/pg$version/usr/lib/postgresql/$version";

	return new_server($name, start => 0,
		conf => backlog_conf() . ($version == 15 ? '' : "event_engine.delivery_enabled = off\n"),
		init => [ extra => [ $version >= 18 ? '--no-data-checksums' : () ] ],
		-d $path ? (install_path => $path) : ());
}

sub upgraded
{
	my ($old, $new, $mode, $rows) = @_;

	command_ok([ bindir($new) . '/pg_upgrade', '--no-sync', $mode, '-d', $old->data_dir, '-D', $new->data_dir,
			'-b', bindir($old), '-B', bindir($new), '-s', $new->host, '-p', $old->port, '-P', $new->port ],
		$old->name . ' to ' . $new->name . ": pg_upgrade $mode")
	  or diag(map { slurp_file($_) } glob $new->data_dir . '/pg_upgrade_output.d/*/log/pg_upgrade_dump_*.log');
	$new->start;
	is(backlog_rows($new, 'shop'), $rows, $new->name . ': every row came along');
	return;
}

sub bindir
{
	my ($node) = @_;
	my $path = $node->{_install_path};

	return "$path/bin" if defined $path;
	my ($bin) = run_command([ 'pg_config', '--bindir' ]);
	return $bin;
}
