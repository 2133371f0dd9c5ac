# shellcheck shell=bash
# What the benchmarks of the server share; sourced after lib.sh.

# shellcheck disable=SC2034 # its readers are those who source this
begun=$(now_ms)
server=
finish() {
	local rc=$?
	trap - EXIT
	[ -z "$server" ] || {
		[ "$rc" -eq 0 ] || tail -n 20 "$server/server.log" >&2
		stop_server "$server"
	}
	[ -z "${PLACE:-}" ] || leave_place
	exit "$rc"
}
trap finish EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

# The id of the rows that ours are compared with.
install_uuid7() {
	"${CC:-gcc}" -O2 -fPIC -shared -I "$("$BIN/pg_config" --includedir-server)" \
		-o build/bench_uuid7.so test/bench/uuid7.c || return
	cp build/bench_uuid7.so "$("$BIN/pg_config" --pkglibdir)/"
}

# A client of the peers that costs next to nothing.
install_pull() {
	"${CC:-gcc}" -O2 -Wall -I "$("$BIN/pg_config" --includedir)" -o build/bench_pull \
		test/bench/peers/pull.c -lpq
}

# start_bench_server: durable settings, all else default.
start_bench_server() {
	server=$PLACE/bench
	step "private server started" build/start.log start_server "$server" \
		"shared_preload_libraries = 'event_engine'" "fsync = on" "synchronous_commit = on" \
		"shared_buffers = 1GB" "max_wal_size = 8GB" "checkpoint_timeout = 15min" \
		"max_worker_processes = 64"
	use_server "$server"
}
