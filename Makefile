# event_engine: make, make install, make installcheck as every extension's;
# make demo and make check do everything on a fresh machine (README.md).

EXTENSION = event_engine
EXTVERSION = $(shell sed -n "s/^default_version *= *'\(.*\)'/\1/p" event_engine.control)
MODULE_big = event_engine
OBJS = $(patsubst %.c,%.o,$(sort $(wildcard src/*.c src/*/*.c)))
PGFILEDESC = "event_engine - event processing inside PostgreSQL"

SQL_PIECES = $(sort $(wildcard sql/[0-9][0-9]_*.sql))
SQL_SCRIPT = sql/event_engine--$(EXTVERSION).sql
DATA_built = $(SQL_SCRIPT)

PG_CPPFLAGS = -I$(srcdir)/src -DEE_VERSION='"$(EXTVERSION)"'
PG_CFLAGS = -Wall -Wextra -Wno-unused-parameter -Wno-sign-compare \
	-Wno-missing-field-initializers -Wno-cast-function-type \
	-Wno-declaration-after-statement $(EE_CFLAGS)

# Listed by hand in the order of the rooms, install first, uninstall last.
REGRESS = $(shell cat test/sql/schedule)
REGRESS_OPTS = --inputdir=test --load-extension=plpgsql
ISOLATION = $(sort $(basename $(notdir $(wildcard test/specs/*.spec))))
ISOLATION_OPTS = --inputdir=test --outputdir=.
TAP_TESTS = 1
PROVE_TESTS = $(sort $(wildcard test/t/*.pl))

EXTRA_CLEAN = $(SQL_SCRIPT) build tmp_check tmp_check_iso log results output_iso

PG_CONFIG ?= pg_config
PGXS := $(shell $(PG_CONFIG) --pgxs)
include $(PGXS)

# Assertion-like checks of our own, see src/ground/debug_point.h
ifdef DEBUG
override CPPFLAGS += -DEE_DEBUG
override CFLAGS += -O1 -g -fno-omit-frame-pointer
endif

$(OBJS): $(wildcard src/*.h src/*/*.h)

$(SQL_SCRIPT): $(SQL_PIECES) event_engine.control
	cat $(SQL_PIECES) > $@

include build.mk
