/*
 * start.h
 *	  Start instances of workflows.
 */
#ifndef EE_START_H
#define EE_START_H

#include "postgres.h"

#include "utils/jsonb.h"
#include "utils/uuid.h"

#include "workflow/workflow_definition.h"

typedef struct EeStart
{
	Jsonb	   *input;			/* NULL: {} */
	char	   *correlation_key;	/* NULL: none */
	char	   *idempotency_key;	/* NULL: none */
	const pg_uuid_t *parent;	/* NULL: none */
} EeStart;

/*
 * Start one; its first step is due at the commit.  False when the idempotency
 * key was used before: then *id is the instance of then.
 */
extern bool ee_start_instance(const EeWorkflow *workflow,
							  const EeStart *start, pg_uuid_t *id);

#endif							/* EE_START_H */
