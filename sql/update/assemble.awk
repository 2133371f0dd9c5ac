# Makes an update script of what an update does, and of the pieces of the
# install script:
#
#	awk -f sql/update/assemble.awk BEGIN PIECE HEAD PIECE... FINISH
#
# Files in update/ come as they are, but for lines like
#
#	\new 13_registry_grants_state.sql
#
# which name pieces that the older version did not have: of those everything is
# made, in their place among the others.  Of the others come the functions,
# procedures and views, as CREATE OR REPLACE, and the comments on them.

function fail(why) {
	printf "%s: %s\n", piece, why > "/dev/stderr"
	failed = 1
	exit 1
}

# What becomes of a statement, now that it is complete.
function finish() {
	if (whole || statement ~ /^SELECT pg_extension_config_dump\(/)
		print statement
	else if (statement ~ /^CREATE (FUNCTION|PROCEDURE|VIEW) /) {
		sub(/^CREATE/, "CREATE OR REPLACE", statement)
		print statement
	}
	else if (statement ~ /^COMMENT ON (FUNCTION|PROCEDURE|VIEW) /)
		print statement
	else if (piece !~ /_state\.sql$/ && statement !~ /^(CREATE|COMMENT ON) TYPE /)
		fail("an update cannot make this again, it is for a _state.sql:\n" statement)
	statement = ""
}

FNR == 1 {
	piece = FILENAME
	sub(/.*\//, "", piece)
	whole = piece in new || piece ~ /^90_/
	delete new[piece]
}

FILENAME ~ /\/update\// {
	if ($1 == "\\new")
		new[$2]
	else
		print
	next
}

# Between statements.
statement == "" && /^[ \t]*($|--)/ { next }
statement == "" && /^[ \t]*\/\*/ { comment = 1 }
comment {
	if (/\*\//)
		comment = 0
	next
}

{
	if (statement == "")
		dollars = 0
	statement = statement (statement == "" ? "" : "\n") $0
	dollars += gsub(/\$\$/, "&")
	if (dollars % 2 == 0 && /;$/)
		finish()
}

END {
	if (!failed && statement != "")
		fail("a statement has no end:\n" statement)
	for (piece in new)
		if (!failed)
			fail("there is no such piece")
	exit failed
}
