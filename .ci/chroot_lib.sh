# shellcheck shell=bash
# Other releases of Debian, for the servers that this one does not package;
# sourced after lib.sh.  They are kept in CHROOTS, outside of the checkout, so
# that several checkouts share them; remove that folder to be rid of them.

CHROOTS=${CHROOTS:-/var/cache/event_engine}

# release_of MAJOR: the release of Debian that packages this PostgreSQL
release_of() {
	case $1 in
		15) say bookworm ;;
		17) say trixie ;;
		18) say forky ;;
		*) die "PostgreSQL $1 is not here, and known are releases of Debian with 15, 17 and 18 only" ;;
	esac
}

# packaged_here: can this PostgreSQL be had without a chroot?
packaged_here() {
	[ -x "/usr/lib/postgresql/$PGMAJOR/bin/postgres" ] ||
		[ "$PGMAJOR" -eq 15 ] || # which .ci/packages sees to, or explains
		apt-cache show "postgresql-$PGMAJOR" >/dev/null 2>&1
}

# can_chroot: dies, with the reason, where no chroot can be made and entered
can_chroot() {
	local -r whose="a chroot with Debian $(release_of "$PGMAJOR")"
	[ "$(id -u)" -eq 0 ] ||
		die "PostgreSQL $PGMAJOR takes $whose, which only root can make: try it with sudo"
	command -v debootstrap >/dev/null || .ci/packages --only debootstrap ||
		die "PostgreSQL $PGMAJOR takes $whose, and there is no debootstrap to make it with"
	unshare --mount --pid --ipc --fork true 2>/dev/null ||
		die "PostgreSQL $PGMAJOR takes $whose, but here (in a container, perhaps) root may not unshare and mount"
}

# make_chroot RELEASE: Debian without anything else in CHROOTS/RELEASE
make_chroot() {
	local -r root=$CHROOTS/$1
	local scripts
	[ ! -d "$root" ] || return 0
	rm -rf "$root.new"
	# an older debootstrap does not know the names of newer releases
	scripts=$(mktemp -d)
	cp -R /usr/share/debootstrap/. "$scripts/"
	[ -e "$scripts/scripts/$1" ] || ln -s sid "$scripts/scripts/$1"
	DEBOOTSTRAP_DIR=$scripts debootstrap --variant=minbase "$1" "$root.new" || {
		tail -n 20 "$root.new/debootstrap/debootstrap.log" 2>/dev/null
		rm -rf "$scripts" "$root.new"
		return 1
	}
	rm -rf "$scripts"
	cp /etc/hosts "$root.new/etc/hosts"
	# nothing is started there because it was installed
	printf '#!/bin/sh\nexit 101\n' >"$root.new/usr/sbin/policy-rc.d"
	chmod 755 "$root.new/usr/sbin/policy-rc.d"
	# a mirror that lags behind is still good enough for a test
	say 'Acquire::Check-Valid-Until "false";' >"$root.new/etc/apt/apt.conf.d/event_engine"
	mv "$root.new" "$root"
}

# copy_chroot FROM TO: both in CHROOTS; a copy that there is already is kept
copy_chroot() {
	[ ! -d "$CHROOTS/$2" ] || return 0
	rm -rf "$CHROOTS/$2.new"
	cp -a --reflink=auto "$CHROOTS/$1" "$CHROOTS/$2.new" && mv "$CHROOTS/$2.new" "$CHROOTS/$2"
}

# shared_folder: shared/, which tests may read, beside the checkout or a folder
# around it; test/conformance/run looks there too
shared_folder() {
	local folder=$TOP
	while [ -z "${EE_SHARED:-}" ] && [ "$folder" != / ] && [ ! -d "$folder/shared" ]; do
		folder=$(dirname "$folder")
	done
	say "${EE_SHARED:-$folder/shared}"
}

# in_chroot ROOT TREE COMMAND...: runs it in TREE, which is /event_engine there.
# What is mounted and started is gone when the command ends, however it ends.
in_chroot() {
	# shellcheck disable=SC2016 # expanded there
	unshare --mount --pid --ipc --fork --kill-child --propagation private bash -c '
		set -e
		root=$1 tree=$2 shared=$3
		shift 3
		mount -t proc proc "$root/proc"
		mount -t tmpfs -o mode=1777 tmpfs "$root/dev/shm"
		mount -t tmpfs -o mode=1777 tmpfs "$root/tmp"
		mkdir -p "$root/event_engine" "$root/shared"
		mount --bind "$tree" "$root/event_engine"
		[ ! -d "$shared" ] || mount -o ro --bind "$shared" "$root/shared"
		exec chroot "$root" env -u TMPDIR -u PERL5LIB -u PYTHONPATH -C /event_engine HOME=/root \
			EE_SHARED=/shared PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin "$@"
	' in_chroot "$1" "$2" "$(shared_folder)" "${@:3}"
}

# copy_checkout TREE: the files of the checkout as they are now, beside what was
# built there before
copy_checkout() {
	local -r tree=$1
	mkdir -p "$tree"
	{
		git ls-files -co --exclude-standard | sort -u
		git ls-files -d
	} | sort | uniq -u >"$tree.files.new"
	# what has been removed since
	[ ! -f "$tree.files" ] || comm -23 "$tree.files" "$tree.files.new" |
		(cd "$tree" && tr '\n' '\0' | xargs -0 -r rm -f)
	tar -c -T "$tree.files.new" | tar -x -C "$tree"
	mv "$tree.files.new" "$tree.files"
}
