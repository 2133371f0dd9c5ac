# The dashboard and the alert rules of docs/monitoring go by metrics that there
# are; each alert fires when it should.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib";

use EventEngine;
use File::Copy;
use JSON::PP;
use PostgreSQL::Test::Utils;
use Test::More;

my $top = "$FindBin::Bin/../..";
my $node = new_server('main');
new_database($node, 'shop');
$node->safe_psql('shop', <<'SQL');
SELECT event_engine.register_event_definition('order.placed');
CREATE FUNCTION take(e event_engine.event) RETURNS void LANGUAGE sql AS '';
SELECT event_engine.subscribe('one', '{order.placed}', 'take');
SELECT event_engine.publish_event('order.placed', '{}');
SQL
wait_until($node, 'shop', 'SELECT sum(delivered) = 1 FROM event_engine.stat_subscriptions', 'there is something to tell of');

# Names with the labels that each has.
my %labels;
foreach my $line (split /\n/, $node->safe_psql('shop', 'SELECT event_engine.metrics()'))
{
	my ($name, $text) = $line =~ /^(event_engine_\w+)(?:\{(.*)\})? /
	  or next;
	$labels{$name}{$_} = 1 foreach 'instance', 'job', ($text // '') =~ /(\w+)="/g;
}
ok(exists $labels{event_engine_delivery_latency_seconds_bucket}{le}, 'metrics are read');

sub check_expression
{
	my ($where, $expression) = @_;
	my @wrong;

	while ($expression =~ /\b(event_engine_\w+)(?:\{([^}]*)\})?/g)
	{
		my ($name, $selector) = ($1, $2 // '');
		push @wrong, "there is no metric $name" if !exists $labels{$name};
		foreach my $label ($selector =~ /(\w+)\s*[=!]~?\s*"/g)
		{
			push @wrong, "$name has no label $label" if !exists $labels{$name}{$label};
		}
	}
	return is("@wrong", '', "$where goes by what there is");
}

my $dashboard = decode_json(slurp_file("$top/docs/monitoring/grafana.json"));
my (%ids, %shown);
foreach my $panel (@{ $dashboard->{panels} })
{
	ok(!$ids{ $panel->{id} }++, "panel \"$panel->{title}\" has a number of its own");
	my $at = $panel->{gridPos};
	ok($at->{x} + $at->{w} <= 24, 'and fits the page');
	foreach my $target (@{ $panel->{targets} // [] })
	{
		check_expression("panel \"$panel->{title}\"", $target->{expr});
		$shown{$1} = 1 while $target->{expr} =~ /\b(event_engine_\w+?)(?:_bucket)?\b/g;
	}
}
my @hidden = grep { !/workflow|trigger|request/ && !/_(sum|count|info)$/ && !$shown{ s/_bucket$//r } } sort keys %labels;
is("@hidden", '', 'every metric is shown');

my $rules = slurp_file("$top/docs/monitoring/alerts.yml");
check_expression('alerts.yml', $rules =~ s/^\s*(summary|description|runbook|#).*$//mgr =~ s/- (name|alert): .*//gr);

# What Prometheus itself says to them.
SKIP:
{
	my ($promtool) = grep { -x } $ENV{PROMTOOL} // (), map { "$_/promtool" } split /:/, $ENV{PATH};
	skip 'no promtool: install Debian\'s package prometheus', 2 unless $promtool;
	my $here = PostgreSQL::Test::Utils::tempdir;
	my $out;

	copy("$top/docs/monitoring/alerts.yml", $here);
	copy("$top/test/monitoring/alerts_test.yml", $here);
	ok(run_log([ $promtool, 'check', 'rules', "$here/alerts.yml" ], '&>', \$out), 'promtool accepts the rules') or diag($out);
	ok(run_log([ $promtool, 'test', 'rules', "$here/alerts_test.yml" ], '&>', \$out), 'each alert fires when it should') or diag($out);
}

done_testing();
