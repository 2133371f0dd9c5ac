# shellcheck shell=bash
# What the scripts of a checkout share: where things are, who runs them, what
# they print.  Sourced, never run.

set -euo pipefail
umask 022

PGMAJOR=${PG:-15}
TOP=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd -P)
cd "$TOP"
unset PGHOST PGPORT PGUSER PGDATABASE PGDATA PGSERVICE PGOPTIONS PGPASSWORD
unset MAKEFLAGS MFLAGS MAKELEVEL MAKEOVERRIDES
export LC_ALL=C.UTF-8 PSQLRC=/dev/null

say() { printf '%s\n' "$*"; }
die() { printf 'error: %s\n' "$*" >&2; exit 1; }

extension_version() { sed -n "s/^default_version *= *'\(.*\)'/\1/p" event_engine.control; }

# A heading; what follows is indented by its printer.
head1() { printf '\n== %s\n' "$*"; }

# Milliseconds since some moment, and a duration as people read it.
now_ms() { local us=${EPOCHREALTIME/[.,]/}; echo $((us / 1000)); }
took() { local ms=$(($(now_ms) - $1)); printf '%d.%d s' $((ms / 1000)) $((ms % 1000 / 100)); }

# step NAME LOGFILE COMMAND...: one line that says what, and how long it took.
# A command that fails shows the end of what it printed.  (In a subshell, so that
# a trap of ours does not write into the log.)
step() {
	local name=$1 log=$2 start rc=0
	shift 2
	start=$(now_ms)
	printf '   %-34s ' "$name ..."
	("$@") >"$log" 2>&1 || rc=$?
	if [ "$rc" -eq 0 ]; then
		printf 'ok      %s\n' "$(took "$start")"
	else
		printf 'FAILED  %s\n' "$(took "$start")"
		tail -n 40 "$log" | sed 's/^/      | /' >&2
	fi
	return "$rc"
}

# PostgreSQL refuses to run as root: then everything that starts a server is
# run as the user that Debian makes for it.  as_server runs a command,
# become_server goes on as that command.
if [ "$(id -u)" -eq 0 ]; then
	SERVER_USER=${SERVER_USER:-postgres}
	become_server() {
		exec setpriv --reuid="$SERVER_USER" --regid="$(id -gn "$SERVER_USER")" \
			--init-groups env HOME=/nonexistent "$@"
	}
else
	SERVER_USER=$(id -un)
	become_server() { exec "$@"; }
fi
as_server() (cd / && become_server "$@")

# find_place sets PLACE, where the private PostgreSQL and its servers live, and
# BIN, its programs: build/ in the checkout, or, where the server's user cannot
# get there (a checkout under /root, say), a folder of its own under /tmp that
# build/place remembers.
find_place() {
	mkdir -p build
	PLACE=$TOP/build
	if ! as_server test -x "$PLACE" -a -r "$PLACE"; then
		PLACE=$(cat build/place 2>/dev/null || true)
		if [ ! -d "${PLACE:-/nonexistent}" ]; then
			PLACE=$(mktemp -d "${TMPDIR:-/tmp}/event_engine.XXXXXX")
			chmod 755 "$PLACE"
			say "$PLACE" >build/place
		fi
		as_server test -x "$PLACE" || die "user $SERVER_USER cannot enter $PLACE"
	fi
	BIN=$PLACE/pg$PGMAJOR/usr/lib/postgresql/$PGMAJOR/bin
}

# A place outside the checkout goes when nothing in it is needed any more.
leave_place() {
	if [ "$PLACE" != "$TOP/build" ] && [ ! -e "$PLACE/demo" ]; then
		rm -rf "$PLACE" build/place
	fi
}

# install_here: build the checkout, install it into the private PostgreSQL.
# (`set -e` does not hold in what step calls, hence the returns.)
install_here() {
	local flags
	local -a with
	.ci/private_install "$PLACE/pg$PGMAJOR" "$PGMAJOR" || return
	with=(PG_CONFIG="$BIN/pg_config" with_llvm=no COPT="${COPT:--Werror}"
		DEBUG="${DEBUG:-}" SANITIZE="${SANITIZE:-}" EE_CFLAGS="${EE_CFLAGS:-}" ${CC:+CC="$CC"})
	# objects of another server, compiler or set of options are of no use
	flags="$("$BIN/pg_config" --version) ${with[*]}"
	if [ "$(cat build/flags 2>/dev/null || true)" != "$flags" ]; then
		make -s -f Makefile "${with[@]}" clean || return
		say "$flags" >build/flags
	fi
	make -s -j2 -f Makefile "${with[@]}" all || return
	make -s -f Makefile "${with[@]}" install
}

# start_server DIR [SETTING...]: a new cluster in DIR, reached only through a
# Unix socket in a folder with a short path that DIR/socket names.  PG_CTL_OPTS
# is added to pg_ctl's.
PG_CTL_OPTS=()
start_server() {
	local dir=$1 socket
	shift
	stop_server "$dir"
	mkdir -p "$dir"
	[ "$(id -u)" -ne 0 ] || chown "$SERVER_USER" "$dir"
	socket=$(as_server mktemp -d /tmp/ee.XXXXXX) || return
	chmod 755 "$socket"
	say "$socket" >"$dir/socket"
	as_server "$BIN/initdb" -D "$dir/data" -U postgres -A trust -E UTF8 \
		--locale=C.UTF-8 --no-sync --no-instructions >"$dir/initdb.log" || return
	{
		say "listen_addresses = ''"
		say "unix_socket_directories = '$socket'"
		say "fsync = off"
		say "log_line_prefix = '%m [%p] %b %d '"
		say "max_prepared_transactions = 10"
		printf '%s\n' "$@"
	} >>"$dir/data/postgresql.conf"
	as_server "$BIN/pg_ctl" -D "$dir/data" -l "$dir/server.log" \
		-s -w -t 60 "${PG_CTL_OPTS[@]}" start >"$dir/start.log" 2>&1 </dev/null || {
		cat "$dir/start.log" "$dir/server.log" >&2
		return 1
	}
	use_server "$dir"
}

# use_server DIR: what is run next talks to this server.
use_server() {
	PGHOST=$(cat "$1/socket")
	export PGHOST PGUSER=postgres PATH="$BIN:$PATH"
}

# stop_server DIR: stop it if it runs, and remove every trace.
stop_server() {
	local dir=$1 socket
	[ -d "$dir" ] || return 0
	if [ -f "$dir/data/postmaster.pid" ]; then
		as_server "$BIN/pg_ctl" -D "$dir/data" -s -m fast -w -t 30 stop ||
			as_server "$BIN/pg_ctl" -D "$dir/data" -s -m immediate -w stop || true
	fi
	socket=$(cat "$dir/socket" 2>/dev/null || true)
	case $socket in /tmp/ee.*) rm -rf "$socket" ;; esac
	rm -rf "$dir"
}
