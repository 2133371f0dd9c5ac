#!/usr/bin/env bash
# A pulling client: takes a batch, works on it, and acknowledges it.  Had it
# died in between, the batch would be somebody else's after 30 seconds.
#   demo/pull.sh SUBSCRIBER [BATCH]
set -euo pipefail
sql() { psql -XqAt -v ON_ERROR_STOP=1 -v subscriber="$subscriber" "$@"; }
subscriber=$1 batch=${2:-10} total=0

while :; do
	events=$(sql -v batch="$batch" <<-'SQL'
		SELECT receipt, pattern, payload ->> 'action', payload #>> '{repository,full_name}'
		FROM event_engine.receive_events(:'subscriber', :batch, '30 s');
	SQL
	)
	[ -n "$events" ] || break
	while IFS='|' read -r _ pattern action repository; do
		total=$((total + 1))
		[ "$total" -gt 4 ] || printf '      %-36s %-12s %s\n' "$pattern" "$action" "$repository"
	done <<<"$events"
	sql -v receipt="${events%%|*}" <<<"SELECT event_engine.ack_events(:'receipt');" >/dev/null
done
[ "$total" -le 4 ] || printf '      ... and %d more\n' $((total - 4))
printf '      %d events, nothing left\n' "$total"
