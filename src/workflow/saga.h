/*
 * saga.h
 *	  Undo what the steps of a workflow have done, and end its children.
 */
#ifndef EE_SAGA_H
#define EE_SAGA_H

#include "postgres.h"

#include "utils/elog.h"

#include "delivery/unit.h"
#include "workflow/instance.h"
#include "workflow/step.h"
#include "workflow/workflow_definition.h"

/*
 * A workflow is going to be failed, cancelled or timed out: its children are
 * cancelled.  True when there is something to undo first: it is compensating
 * then, and will be what it was going to be when that is done.
 */
extern bool ee_saga_begin(EeInstance *instance, EeInstanceStatus outcome);

/* The next compensation of an instance that is locked and due. */
extern EeStepOutcome ee_saga_due(EeDelivery *delivery, const EeUnit *unit,
								 EeInstance *instance, EeWorkflow *workflow);

/* It has failed, and its effects are rolled back. */
extern EeStepOutcome ee_saga_failed(EeDelivery *delivery,
									EeInstance *instance,
									const EeWorkflow *workflow,
									const ErrorData *error,
									TimestampTz started_at);

/*
 * Cancel the children of one that has ended.  Those that somebody has locked
 * are left, and it is due again.  Sets columns.
 */
extern void ee_saga_end_children(EeInstance *instance);

/* A person wants the one that was given up to be tried again. */
extern void ee_saga_resume(EeInstance *instance);

/* Has anything been undone? */
extern bool ee_saga_undone(const EeInstance *instance);

#endif							/* EE_SAGA_H */
