/*
 * fuzz.c
 *	  Runs libFuzzer inside a server process.
 *
 * SELECT fuzz('schema', '-max_total_time=60 corpus') hands one input after the
 * other to a target.  Each runs in a memory context of its own and with a
 * budget of processor time, after which it is cancelled as a user would cancel
 * it.  An error is an answer like any other, if it is one that a user can
 * cause; a finding is
 *
 *	  - what AddressSanitizer and UndefinedBehaviorSanitizer say;
 *	  - an error that cannot happen (XX000), or one without a code of ours;
 *	  - an input that does not end soon after it was cancelled;
 *	  - memory without measure;
 *	  - two answers that contradict each other (see the targets).
 *
 * It ends the process; libFuzzer then leaves the input in a file.
 */
#include "postgres.h"

#include <signal.h>
#include <time.h>

#include "ground/config.h"
#include "ground/errors.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/memutils.h"

#include "fuzz.h"

PG_MODULE_MAGIC;
PG_FUNCTION_INFO_V1(fuzz);

/* milliseconds of processor time */
#define BUDGET			500
#define CANCEL_TAKES	500

extern int	LLVMFuzzerRunDriver(int *argc, char ***argv,
								int (*callback) (const uint8_t *, size_t));
extern size_t LLVMFuzzerMutate(uint8_t *data, size_t size, size_t max_size);
extern size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size,
									  size_t max_size, unsigned int seed);
extern size_t LLVMFuzzerCustomCrossOver(const uint8_t *one, size_t one_size,
										const uint8_t *other,
										size_t other_size, uint8_t *out,
										size_t max_size, unsigned int seed);

static const struct
{
	const char *name;
	EeFuzzTarget run;
	bool		json;
}			targets[] = {
	{"schema", ee_fuzz_schema, true},
	{"regex", ee_fuzz_regex, false},
	{"format", ee_fuzz_format, false},
};

/* the settings that validation looks at */
int			ee_config_validation_schema_cache = EE_FUZZ_CACHE;

static EeFuzzTarget target;
static bool target_is_json;
static timer_t timer;
static volatile int64 cancelled_at;

static void make_timer(void);
static void set_timer(int ms);
static void cancel_input(int signal_number);
static int64 cpu_ms(void);
static int	run_input(const uint8_t *data, size_t size);
static int64 run_target(const char *data, size_t size);
static bool is_answer(const ErrorData *error);

/* fuzz(target, arguments of libFuzzer separated by blanks) */
Datum
fuzz(PG_FUNCTION_ARGS)
{
	char	   *name = text_to_cstring(PG_GETARG_TEXT_PP(0));
	char	   *rest = text_to_cstring(PG_GETARG_TEXT_PP(1));
	char	  **argv = palloc((strlen(rest) + 3) * sizeof(char *));
	int			argc = 0;
	int			i;

	for (i = 0; i < lengthof(targets); i++)
	{
		if (strcmp(targets[i].name, name) == 0)
		{
			target = targets[i].run;
			target_is_json = targets[i].json;
		}
	}
	if (target == NULL)
		elog(ERROR, "unknown target \"%s\"", name);
	argv[argc++] = "fuzz";
	for (rest = strtok(rest, " \t\n"); rest != NULL; rest = strtok(NULL, " \t\n"))
		argv[argc++] = rest;
	argv[argc] = NULL;
	/* a process without postmaster has none, hence no limit of depth */
	(void) set_stack_base();
	make_timer();
	PG_RETURN_INT32(LLVMFuzzerRunDriver(&argc, &argv, run_input));
}

static void
make_timer(void)
{
	struct sigevent event = {0};
	struct sigaction action = {0};

	action.sa_handler = cancel_input;
	action.sa_flags = SA_RESTART;
	sigaction(SIGRTMIN, &action, NULL);
	event.sigev_notify = SIGEV_SIGNAL;
	event.sigev_signo = SIGRTMIN;
	if (timer_create(CLOCK_PROCESS_CPUTIME_ID, &event, &timer) != 0)
		elog(ERROR, "could not make a timer: %m");
}

/* The machine may be busy, hence time of the processor. */
static void
set_timer(int ms)
{
	struct itimerspec spec = {0};

	spec.it_value.tv_sec = ms / 1000;
	spec.it_value.tv_nsec = ms % 1000 * 1000000L;
	timer_settime(timer, 0, &spec, NULL);
}

static void
cancel_input(int signal_number)
{
	cancelled_at = cpu_ms();
	QueryCancelPending = true;
	InterruptPending = true;
}

static int64
cpu_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
	return now.tv_sec * INT64CONST(1000) + now.tv_nsec / 1000000;
}

static int
run_input(const uint8_t *data, size_t size)
{
	int64		late = run_target((const char *) data, size);

	/* a virtual machine that is held up is no finding, hence once more */
	if (late > CANCEL_TAKES)
		late = run_target((const char *) data, size);
	if (late > CANCEL_TAKES)
		ee_fuzz_finding("went on for %d ms after it was cancelled",
						(int) late);
	return 0;
}

/* Returns for how many ms it went on after it was cancelled. */
static int64
run_target(const char *data, size_t size)
{
	MemoryContext old = CurrentMemoryContext;
	MemoryContext old_transaction = CurTransactionContext;
	MemoryContext context = ee_fuzz_context(TopMemoryContext, "fuzz input");
	Size		before = ee_fuzz_allocated();
	int64		late;

	cancelled_at = 0;
	set_timer(BUDGET);
	MemoryContextSwitchTo(context);
	CurTransactionContext = context;
	target(data, size);
	set_timer(0);
	late = cancelled_at == 0 ? 0 : cpu_ms() - cancelled_at;
	QueryCancelPending = false;
	MemoryContextSwitchTo(old);
	CurTransactionContext = old_transaction;
	MemoryContextDelete(context);
	/* what stays is the cache of programs, which has a bound of its own */
	if (ee_fuzz_allocated() > before + 64 * 1024 * 1024)
		ee_fuzz_finding("memory was not given back");
	return late;
}

/*
 * Runs a step.  Returns 0, or the SQLSTATE that it threw.
 */
int
ee_fuzz_try(EeFuzzStep step, void *arg)
{
	MemoryContext context = CurrentMemoryContext;
	ErrorData  *error;
	volatile int code = 0;

	/* once cancelled, all else would be, too */
	if (cancelled_at != 0)
		return ERRCODE_QUERY_CANCELED;
	PG_TRY();
	{
		step(arg);
	}
	PG_CATCH();
	{
		MemoryContextSwitchTo(context);
		error = CopyErrorData();
		FlushErrorState();
		code = error->sqlerrcode;
		if (!is_answer(error))
			ee_fuzz_finding("error %s: %s (%s)",
							unpack_sql_state(error->sqlerrcode),
							error->message, error->funcname);
	}
	PG_END_TRY();
	return code;
}

/* Is it one that a user can cause? */
static bool
is_answer(const ErrorData *error)
{
	switch (error->sqlerrcode)
	{
		case EE_ERRCODE_INVALID_SCHEMA:
		case EE_ERRCODE_UNRESOLVED_REF:
		case EE_ERRCODE_SCHEMA_TOO_COMPLEX:
		case ERRCODE_INVALID_REGULAR_EXPRESSION:
		case ERRCODE_STATEMENT_TOO_COMPLEX:
		case ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE:
			return true;
		case ERRCODE_QUERY_CANCELED:
			return cancelled_at != 0;
		default:
			return false;
	}
}

void
ee_fuzz_finding(const char *fmt,...)
{
	va_list		args;

	va_start(args, fmt);
	fprintf(stderr, "FINDING: ");
	vfprintf(stderr, fmt, args);
	fprintf(stderr, "\n");
	va_end(args);
	abort();
}

static void
parse_jsonb(void *arg)
{
	Datum	   *datum = arg;

	*datum = DirectFunctionCall1(jsonb_in, *datum);
}

/* NULL if the text is none. */
Jsonb *
ee_fuzz_jsonb(const char *text, size_t len)
{
	MemoryContext context = CurrentMemoryContext;
	Datum		datum = CStringGetDatum(pnstrdup(text, len));
	volatile bool parsed = false;

	/* it ends at the first NUL */
	len = strlen(DatumGetCString(datum));
	if (cancelled_at != 0 ||
		!pg_verifymbstr(DatumGetCString(datum), len, true))
		return NULL;
	PG_TRY();
	{
		parse_jsonb(&datum);
		parsed = true;
	}
	PG_CATCH();
	{
		MemoryContextSwitchTo(context);
		FlushErrorState();
	}
	PG_END_TRY();
	return parsed ? DatumGetJsonbP(datum) : NULL;
}

size_t
LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size,
						unsigned int seed)
{
	if (target_is_json && seed % 8 != 0)
		return ee_fuzz_mutate_json(data, size, max_size, seed / 8);
	return LLVMFuzzerMutate(data, size, max_size);
}

size_t
LLVMFuzzerCustomCrossOver(const uint8_t *one, size_t one_size,
						  const uint8_t *other, size_t other_size,
						  uint8_t *out, size_t max_size, unsigned int seed)
{
	size_t		half = Min(one_size / 2, max_size);
	size_t		rest = Min(other_size / 2, max_size - half);

	if (target_is_json)
		return ee_fuzz_cross_json(one, one_size, other, other_size, out,
								  max_size, seed);
	memcpy(out, one, half);
	memcpy(out + half, other + other_size - rest, rest);
	return half + rest;
}
