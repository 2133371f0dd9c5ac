/*
 * step.h
 *	  Take a step of a workflow.
 *
 * The caller is in a transaction of its own or in a subtransaction, and has
 * locked the rows of all instances that it is going to resume in it, in the
 * order of their ids.
 */
#ifndef EE_STEP_H
#define EE_STEP_H

#include "postgres.h"

#include "utils/elog.h"
#include "utils/jsonb.h"
#include "utils/uuid.h"

#include "delivery/batch.h"
#include "delivery/unit.h"
#include "workflow/resumption.h"

typedef enum EeStepOutcome
{
	EE_STEP_TAKEN,
	EE_STEP_PARTLY,				/* its wait matched, and others have yet to */
	EE_STEP_GONE				/* the wait, the instance or what was due is no
								 * more: nothing was done */
} EeStepOutcome;

/*
 * A wait is over: it is consumed, and where the instance needs no further
 * one, its handler is called and the answer written down.  Raises what the
 * handler raises, and what is wrong with the answer.
 */
extern EeStepOutcome ee_step_run(EeDelivery *delivery, const EeUnit *unit,
								 const pg_uuid_t *instance,
								 const EeResumption *resumption);

/*
 * The step that is due (next_attempt_at): the first one, one that has failed
 * or was held.
 */
extern EeStepOutcome ee_step_due(EeDelivery *delivery, const EeUnit *unit,
								 const pg_uuid_t *instance);

/* Its deadline has passed. */
extern EeStepOutcome ee_step_deadline(EeDelivery *delivery,
									  const EeUnit *unit,
									  const pg_uuid_t *instance);

/*
 * The step failed, and its effects are rolled back.  The wait is consumed all
 * the same, and the step will be tried again, or the workflow has failed.
 * resumption is NULL after ee_step_due().  started_at: when it began.
 */
extern EeStepOutcome ee_step_failed(EeDelivery *delivery,
									const pg_uuid_t *instance,
									const EeResumption *resumption,
									const ErrorData *error,
									TimestampTz started_at);

/*
 * Consume the wait and leave the step to be taken later, as one that is due
 * now: under the crash guard, matching is committed before the step is taken.
 */
extern EeStepOutcome ee_step_hold(EeDelivery *delivery,
								  const pg_uuid_t *instance,
								  const EeResumption *resumption);

/*
 * Under the crash guard: count the attempt that is going to be made of the
 * step that is due.  False when no more may be made: it is failed by now.
 */
extern bool ee_step_attempt(EeDelivery *delivery, const pg_uuid_t *instance);

/* Is a step of this instance being taken, and its handler called, by us? */
extern bool ee_step_is_current(const pg_uuid_t *instance);

#endif							/* EE_STEP_H */
