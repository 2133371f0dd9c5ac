# An ordinary PGXS makefile: make, make install, make installcheck.
# make demo and make check, which do everything, are in GNUmakefile.

EXTENSION = event_engine
EXTVERSION = $(shell sed -n "s/^default_version *= *'\(.*\)'/\1/p" event_engine.control)
MODULE_big = event_engine
OBJS = $(patsubst %.c,%.o,$(sort $(wildcard src/*.c src/*/*.c)))
PGFILEDESC = "event_engine - event processing inside PostgreSQL"

# in order of number, and the state of a room before its api
SQL_PIECES = $(subst _0state,_state,$(sort $(subst _state,_0state,\
	$(wildcard sql/[0-9][0-9]_*.sql))))
SQL_SCRIPT = sql/event_engine--$(EXTVERSION).sql
# Released versions, as they were; and the ways from them to this one.
DATA = $(sort $(wildcard sql/released/*.sql))
UPDATE_SCRIPTS = $(patsubst sql/update/%,sql/event_engine--%,$(sort $(wildcard sql/update/*--*.sql)))
UPDATE_PARTS = sql/update/assemble.awk sql/update/begin.sql sql/update/finish.sql
DATA_built = $(SQL_SCRIPT) $(UPDATE_SCRIPTS)

PG_CPPFLAGS = -I$(srcdir)/src -DEE_VERSION='"$(EXTVERSION)"'
PG_CFLAGS = -Wall -Wextra -Wno-unused-parameter -Wno-sign-compare \
	-Wno-missing-field-initializers -Wno-cast-function-type \
	-Wno-declaration-after-statement $(EE_CFLAGS)
SHLIB_LINK += -lidn2 -lsodium
ifdef DEBUG
PG_CPPFLAGS += -DEE_DEBUG
PG_CFLAGS += -O1 -g
endif
ifdef SANITIZE
PG_CFLAGS += -fsanitize=$(SANITIZE) -fno-sanitize-recover=all -O1 -g
SHLIB_LINK += -fsanitize=$(SANITIZE)
endif
# The server's flags are those of the compiler that built it.
ifneq (,$(findstring clang,$(CC)))
PG_CFLAGS += -Wno-ignored-optimization-argument -Wno-unknown-warning-option -Wno-ignored-attributes
endif

# In the order of the rooms, install first, uninstall last.
REGRESS = $(shell cat test/sql/schedule)
REGRESS_OPTS = --inputdir=test
ISOLATION = $(sort $(basename $(notdir $(wildcard test/specs/*.spec))))
ISOLATION_OPTS = --inputdir=test --outputdir=.
TAP_TESTS = 1
PROVE_TESTS = $(sort $(wildcard test/t/*.pl))

EXTRA_CLEAN = $(DATA_built) log results tmp_check tmp_check_iso

PG_CONFIG ?= pg_config
PGXS := $(shell $(PG_CONFIG) --pgxs)

# Bitcode for JIT needs the clang that the server was built with.
ifeq (,$(shell command -v $$(sed -n 's/^CLANG *= *//p' $(dir $(PGXS))../Makefile.global)))
override with_llvm = no
endif

include $(PGXS)

$(OBJS): $(wildcard src/*.h src/*/*.h)

$(SQL_SCRIPT): $(SQL_PIECES) event_engine.control
	cat $(SQL_PIECES) > $@

$(UPDATE_SCRIPTS): sql/event_engine--%: sql/update/% $(SQL_PIECES) $(UPDATE_PARTS)
	awk -f sql/update/assemble.awk sql/update/begin.sql $(filter sql/01_%,$(SQL_PIECES)) \
		$< $(filter-out sql/0%,$(SQL_PIECES)) sql/update/finish.sql > $@.part
	mv $@.part $@
