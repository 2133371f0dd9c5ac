/*
 * resumption.h
 *	  Why a step is taken, and how an instance keeps that in mind while the step
 *	  is due.
 */
#ifndef EE_RESUMPTION_H
#define EE_RESUMPTION_H

#include "postgres.h"

#include "utils/jsonb.h"
#include "utils/uuid.h"

#include "workflow/instance.h"
#include "workflow/wait.h"

/* Why a step is taken; the names are those of workflow_steps.resumed_by. */
typedef enum EeResumptionKind
{
	EE_RESUMED_BY_START,
	EE_RESUMED_BY_EVENT,
	EE_RESUMED_BY_TIMEOUT,
	EE_RESUMED_BY_SLEEP,
	EE_RESUMED_BY_STEP,
	EE_RESUMED_BY_CHILD,
	EE_RESUMED_BY_SIGNAL,
	EE_RESUMED_BY_COMPENSATION
} EeResumptionKind;

typedef struct EeResumption
{
	EeResumptionKind kind;
	pg_uuid_t	wait;			/* that is over, of kinds event, timeout, sleep */
	Datum		event;			/* composite, of kind event; else 0 */

	/* filled in when the wait is consumed */
	char	   *wait_name;
	Jsonb	   *events;			/* by wait, where several were needed */
} EeResumption;

extern const char *ee_resumption_kind_name(EeResumptionKind kind);

/*
 * The wait is over: consume it, and when the instance needs no further one,
 * all others.  Sets columns of the instance without storing it.
 */
typedef enum EeConsumed
{
	EE_CONSUMED_GONE,			/* the wait is no more; nothing was done */
	EE_CONSUMED_PARTLY,			/* others are needed */
	EE_CONSUMED_ALL
} EeConsumed;

extern EeConsumed ee_resumption_consume(EeInstance *instance,
										EeResumption *resumption);

/* Put it into the row, and get it from there. */
extern void ee_resumption_keep(EeInstance *instance,
							   const EeResumption *resumption);
extern void ee_resumption_kept(const EeInstance *instance,
							   EeResumption *resumption);

/* As event_engine.workflow_resumption. */
extern Datum ee_resumption_datum(const EeResumption *resumption, int attempt);

#endif							/* EE_RESUMPTION_H */
