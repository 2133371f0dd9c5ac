# The library loads when it is first needed and when it is preloaded, and
# neither way says anything that somebody would have to look up.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib";

use EventEngine;
use PostgreSQL::Test::Utils;
use Test::More;

foreach my $preload (0, 1)
{
	my $with = $preload ? 'preloaded' : 'on demand';
	my $node = new_server("load$preload", preload => $preload);

	new_database($node, 'shop');
	is( $node->safe_psql('shop',
			"SELECT extversion FROM pg_extension WHERE extname = 'event_engine'"),
		$node->safe_psql('postgres',
			"SELECT default_version FROM pg_available_extensions WHERE name = 'event_engine'"),
		"$with: the version that the control file names");
	is( $node->safe_psql('postgres',
			"SELECT name, boot_val FROM pg_settings"
			  . " WHERE name LIKE 'event_engine.%' AND context = 'postmaster' ORDER BY name"),
		$preload ? documented('restart') : '',
		"$with: the settings that need a restart are those documented");
	$node->safe_psql('shop', 'DROP EXTENSION event_engine');
	$node->safe_psql('postgres', 'DROP DATABASE shop');
	$node->restart;
	$node->stop;
	# so the server itself speaks of a worker that a shutdown has ended
	unlike(
		slurp_file($node->logfile),
		qr/WARNING|ERROR|PANIC|FATAL(?!.*due to administrator command)/,
		"$with: nothing to complain of in the log");
}

done_testing();

# name|default of the settings of docs/settings.md that are changed so
sub documented
{
	my ($changed_by) = @_;
	my $page = slurp_file("$FindBin::Bin/../../docs/settings.md");
	my @found = $page =~ /^\| `(event_engine\.\w+)` \| `([^`]*)` \| [^|]* \| $changed_by \|$/mg;
	my @rows;

	push @rows, join('|', splice @found, 0, 2) while @found;
	return join "\n", sort @rows;
}
