/*
 * instance.h
 *	  An instance of a workflow as its row says, and how the row is changed.
 */
#ifndef EE_INSTANCE_H
#define EE_INSTANCE_H

#include "postgres.h"

#include "datatype/timestamp.h"
#include "storage/itemptr.h"
#include "utils/jsonb.h"
#include "utils/uuid.h"

/* The columns of event_engine.workflow_instances. */
typedef enum EeInstanceAttr
{
	EE_INSTANCE_ID = 1,
	EE_INSTANCE_NUMBER,
	EE_INSTANCE_DEFINITION_ID,
	EE_INSTANCE_WORKFLOW,
	EE_INSTANCE_VERSION,
	EE_INSTANCE_STATUS,
	EE_INSTANCE_CORRELATION_KEY,
	EE_INSTANCE_IDEMPOTENCY_KEY,
	EE_INSTANCE_INPUT,
	EE_INSTANCE_STATE,
	EE_INSTANCE_OUTPUT,
	EE_INSTANCE_STEP,
	EE_INSTANCE_STEPS,
	EE_INSTANCE_WAIT_NEEDED,
	EE_INSTANCE_MATCHED,
	EE_INSTANCE_RESUMPTION,
	EE_INSTANCE_RESUMPTION_EVENT,
	EE_INSTANCE_ATTEMPTS,
	EE_INSTANCE_NEXT_ATTEMPT_AT,
	EE_INSTANCE_LAST_ERROR,
	EE_INSTANCE_ERROR_DETAILS,
	EE_INSTANCE_PARENT_ID,
	EE_INSTANCE_DEADLINE_AT,
	EE_INSTANCE_METADATA,
	EE_INSTANCE_CREATED_AT,
	EE_INSTANCE_UPDATED_AT,
	EE_INSTANCE_FINISHED_AT
} EeInstanceAttr;

#define EE_INSTANCE_NATTS	EE_INSTANCE_FINISHED_AT

/*
 * The final ones come last.  From EE_INSTANCE_COMPENSATING on it takes no more
 * steps of its own, which is what "over" means here.
 */
typedef enum EeInstanceStatus
{
	EE_INSTANCE_RUNNING,
	EE_INSTANCE_WAITING,
	EE_INSTANCE_COMPENSATING,
	EE_INSTANCE_COMPLETED,
	EE_INSTANCE_FAILED,
	EE_INSTANCE_CANCELLED,
	EE_INSTANCE_TIMED_OUT
} EeInstanceStatus;

/* Values are as in the row, and what is set is not stored before
 * ee_instance_store(). */
typedef struct EeInstance
{
	pg_uuid_t	id;
	EeInstanceStatus status;
	ItemPointerData tid;
	Datum		values[EE_INSTANCE_NATTS];
	bool		nulls[EE_INSTANCE_NATTS];
} EeInstance;

#define EE_INSTANCE_VALUE(instance, attr)	((instance)->values[(attr) - 1])
#define EE_INSTANCE_IS_NULL(instance, attr) ((instance)->nulls[(attr) - 1])

/*
 * Lock a row, as of now and whatever the snapshot says, and load it into
 * CurrentMemoryContext; NULL when there is none.  Who locks several does so
 * in the order of their ids.
 */
extern EeInstance *ee_instance_lock(const pg_uuid_t *id);

/* Set a column, or make it null. */
extern void ee_instance_set(EeInstance *instance, EeInstanceAttr attr,
							Datum value);
extern void ee_instance_set_null(EeInstance *instance, EeInstanceAttr attr);
extern void ee_instance_set_status(EeInstance *instance,
								   EeInstanceStatus status);

/* Name the next step; raises where that is too long, or empty. */
extern void ee_instance_set_step(EeInstance *instance, const char *name);

extern const char *ee_instance_status_name(EeInstanceStatus status);

/* Is there nothing more that it will do? */
static inline bool
ee_instance_over(const EeInstance *instance)
{
	return instance->status >= EE_INSTANCE_COMPENSATING;
}

/* A column, copied or detoasted; NULL where it is. */
extern char *ee_instance_text(const EeInstance *instance,
							  EeInstanceAttr attr);
extern Jsonb *ee_instance_jsonb(const EeInstance *instance,
								EeInstanceAttr attr);

/*
 * What becomes of it: it waits until so many of its waits have matched, a
 * step is due, nothing is due, or it is over.  Sets columns.
 */
extern void ee_instance_wait(EeInstance *instance, int needed);
extern void ee_instance_due(EeInstance *instance, TimestampTz at);
extern void ee_instance_forget_step(EeInstance *instance);
extern void ee_instance_end(EeInstance *instance, EeInstanceStatus status);

/* At the step that is due, so far. */
extern int	ee_instance_attempts(const EeInstance *instance);

/* Write the row, which this transaction has locked; or a new one. */
extern void ee_instance_store(EeInstance *instance);
extern void ee_instance_insert(EeInstance *instance);

#endif							/* EE_INSTANCE_H */
