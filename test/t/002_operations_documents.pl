# What the pages show can be done: every block marked sql in README.md and
# docs/*.md runs, a page after the other, each page in a database of its own.
# A block that shows an error says so in a comment, "-- ERROR: what it says";
# what a page takes for granted is in a comment of the page, "<!-- sql ... -->".
use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib";

use EventEngine;
use PostgreSQL::Test::Utils;
use Test::More;

my $top = "$FindBin::Bin/../..";
my $node = new_server('documents', conf => "max_prepared_transactions = 10\nmax_worker_processes = 60");
my $number = 0;

foreach my $page ("$top/README.md", sort glob "$top/docs/*.md")
{
	my ($name) = $page =~ m{([^/]+/[^/]+)$};
	my @lines = split /\n/, slurp_file($page);
	my $database = 'page' . ++$number;
	my $block;
	my $start;

	next unless grep { /^```sql$/ } @lines;
	# a page that installs the extension shows how
	if (grep { /^CREATE EXTENSION event_engine/ } @lines)
	{
		$node->safe_psql('postgres', "CREATE DATABASE $database");
	}
	else
	{
		new_database($node, $database);
	}
	for my $i (0 .. $#lines)
	{
		if (!defined $block && $lines[$i] =~ /^(```|<!-- )sql$/)
		{
			($block, $start) = ('', $i + 2);
		}
		elsif (defined $block && $lines[$i] =~ /^(```|-->)$/)
		{
			run_block($database, $block, "$name:$start");
			undef $block;
		}
		elsif (defined $block)
		{
			$block .= "$lines[$i]\n";
		}
	}
}

done_testing();

sub run_block
{
	my ($database, $block, $where) = @_;
	my ($expected) = $block =~ /^-- ERROR: *(.*)$/m;
	my ($rc, $out, $err) =
	  $node->psql($database, $block, on_error_stop => 1, on_error_die => 0);

	if (defined $expected)
	{
		like($err, qr/ERROR:\s+\Q$expected\E/, "$where fails as it says");
	}
	else
	{
		is($rc, 0, "$where runs") or diag($err);
	}
	return;
}
