/*
 * wait.h
 *	  Waits: what an instance is resumed by.
 */
#ifndef EE_WAIT_H
#define EE_WAIT_H

#include "postgres.h"

#include "datatype/timestamp.h"
#include "nodes/pg_list.h"
#include "utils/jsonb.h"
#include "utils/uuid.h"

#include "ground/path_predicate.h"
#include "workflow/instance.h"

/* The columns of event_engine.workflow_waits. */
typedef enum EeWaitAttr
{
	EE_WAIT_ID = 1,
	EE_WAIT_INSTANCE_ID,
	EE_WAIT_NUMBER,
	EE_WAIT_NAME,
	EE_WAIT_PATTERN,
	EE_WAIT_FILTER_PATH,
	EE_WAIT_FILTERS,
	EE_WAIT_KEY,
	EE_WAIT_TIMEOUT_AT,
	EE_WAIT_SNAPSHOT,
	EE_WAIT_SEQ,
	EE_WAIT_BASE_SEQ,
	EE_WAIT_SINCE,
	EE_WAIT_VARIABLES,
	EE_WAIT_XID,
	EE_WAIT_CREATED_AT
} EeWaitAttr;

#define EE_WAIT_NATTS	EE_WAIT_CREATED_AT

/* What is to be registered. */
typedef struct EeWaitSpec
{
	char	   *name;			/* NULL: the pattern, or "sleep" */
	char	   *pattern;		/* NULL: a sleep */
	char	   *filter_path;	/* NULL: none; may speak of $workflow */
	Jsonb	   *filters;		/* NULL: none */
	TimestampTz timeout_at;		/* DT_NOEND: none */
	bool		has_since;
	TimestampTz since;
} EeWaitSpec;

/* How conditions of waits are compiled: ee_path_predicate_compile(). */
extern const EePathWords ee_wait_words;

/* A wait of an instance, as far as resuming it needs. */
typedef struct EeWaitRow
{
	pg_uuid_t	id;
	char	   *name;
	bool		sleeps;			/* it has no pattern */
	ItemPointerData tid;
} EeWaitRow;

/* What it is called: its name, else its pattern, else "sleep". */
extern const char *ee_wait_name(const EeWaitSpec *spec);

/*
 * Register a wait of an instance that is locked, with the position in the log
 * of now.  Raises what is wrong with it.
 */
extern void ee_wait_register(const EeInstance *instance,
							 const EeWaitSpec *spec, pg_uuid_t *id);

/*
 * The waits of an instance that is locked, as of now: a list of EeWaitRow in
 * CurrentMemoryContext.
 */
extern List *ee_wait_list(const pg_uuid_t *instance);

/* They are over. */
extern void ee_wait_remove(List *waits);

#endif							/* EE_WAIT_H */
