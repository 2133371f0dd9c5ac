/*
 * handler.h
 *	  Call the SQL function that a subscription names.
 */
#ifndef EE_HANDLER_H
#define EE_HANDLER_H

#include "postgres.h"

#include "executor/tuptable.h"
#include "fmgr.h"

/* What a handler takes. */
typedef enum EeHandlerKind
{
	EE_HANDLER_EVENT,			/* event_engine.event, one a call */
	EE_HANDLER_EVENTS,			/* event_engine.event[], a batch a call */
	EE_HANDLER_ENVELOPE			/* jsonb, one a call */
} EeHandlerKind;

typedef struct EeHandler
{
	EeHandlerKind kind;
	FmgrInfo	function;
} EeHandler;

/*
 * Which function a signature was last found to mean, kept from batch to
 * batch; zeroed to begin with.
 */
typedef struct EeHandlerName
{
	Oid			oid;
	uint64		generation;		/* of the catalogs then; 0: nothing is known */
	Oid			role;			/* who looked */
	char	   *search_path;	/* his, in the context below */
	MemoryContext context;		/* set by the owner of the struct */
} EeHandlerName;

/*
 * Look up a handler by its signature, for the current role.  Raises
 * INVALID_HANDLER when it is gone, takes something else, or may not be called.
 * Lives in CurrentMemoryContext.
 */
extern void ee_handler_prepare(EeHandler *handler, const char *signature,
							   EeHandlerName *known);

/*
 * What a signature means now; raises INVALID_HANDLER when it is nothing, and
 * an error when the current role may not call it.  known->generation moves
 * whenever what is known of the function may not hold any more.
 */
extern Oid	ee_handler_find(const char *signature, EeHandlerName *known);

/*
 * Call a function that was looked up so, because of an event (0: none).
 * False when the result is null.
 */
extern bool ee_handler_invoke(FmgrInfo *function, Datum *arguments,
							  int nargs, Datum causing, Datum *result);

/* The event in a slot of the log as composite datum, palloc'd. */
extern Datum ee_handler_event_datum(TupleTableSlot *slot);

/* Call with one event (composite), or with several where it takes them. */
extern void ee_handler_call(EeHandler *handler, Datum event);
extern void ee_handler_call_batch(EeHandler *handler, Datum *events, int n);

/* Call one that takes one event, and have what it returns. */
extern Datum ee_handler_ask(EeHandler *handler, Datum event, bool *isnull);

/* Is a handler running in this process? */
extern bool ee_handler_running(void);

/*
 * After an error that leaves an outer handler to go on: as it was before,
 * see ee_handler_running() and ee_causation_event.
 */
extern void ee_handler_resume(bool outer, Datum causing);

/* After an error: none is. */
extern void ee_handler_reset(void);

/* A time limit for what follows; 0: none. */
extern void ee_handler_timeout_start(int timeout_ms);
extern void ee_handler_timeout_stop(void);

/* Did the limit end the last call? */
extern bool ee_handler_timed_out(void);

#endif							/* EE_HANDLER_H */
