/*
 * step_log.h
 *	  The history of an instance: the rows of event_engine.workflow_steps.
 */
#ifndef EE_STEP_LOG_H
#define EE_STEP_LOG_H

#include "postgres.h"

#include "datatype/timestamp.h"
#include "utils/jsonb.h"

#include "workflow/instance.h"

/* What is said of a step; NULL and 0 where there is nothing to be said. */
typedef struct EeStepRecord
{
	int			number;
	int			attempt;
	const char *step;
	const char *resumed_by;
	const char *wait_name;
	Datum		event;
	const char *result;
	const char *error_message;
	Jsonb	   *details;
	TimestampTz started_at;
} EeStepRecord;

extern void ee_step_log_add(const EeInstance *instance,
							const EeStepRecord *record);

#endif							/* EE_STEP_LOG_H */
