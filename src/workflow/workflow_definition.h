/*
 * workflow_definition.h
 *	  Definitions of workflows, ready for use.
 */
#ifndef EE_WORKFLOW_DEFINITION_H
#define EE_WORKFLOW_DEFINITION_H

#include "postgres.h"

#include "fmgr.h"
#include "utils/uuid.h"

#include "delivery/handler.h"
#include "ground/backoff.h"

/* A definition; the strings live as long as it does. */
typedef struct EeWorkflow
{
	pg_uuid_t	id;
	char	   *name;
	char	   *version;
	Oid			owner;
	int32		number;			/* of the owner's dispatcher */
	char	   *handler;		/* signature; NULL: an orchestrator outside */
	bool		active;

	/* options */
	int			max_attempts;
	EeBackoff	backoff;
	int			timeout_ms;		/* of a step; 0: none */
	double		instance_timeout_ms;	/* of all of it; 0: none */

	/* what its handler was last found to be */
	EeHandlerName handler_name;
	FmgrInfo	function;
	MemoryContext function_context; /* of what its language keeps for it */
	bool		answers;		/* it returns jsonb */
} EeWorkflow;

/*
 * The definition with that id, or of that name: the version given, or the
 * highest active one.  NULL where there is none.  Valid until the next
 * transaction or command that changes definitions.
 */
extern EeWorkflow *ee_workflow_definition_by_id(const pg_uuid_t *id);
extern EeWorkflow *ee_workflow_definition_find(const char *name,
											   const char *version);

/*
 * Look its handler up, for the current role.  Raises INVALID_HANDLER when it
 * is gone, takes something else, or may not be called.
 */
extern void ee_workflow_definition_prepare(EeWorkflow *workflow);

#endif							/* EE_WORKFLOW_DEFINITION_H */
