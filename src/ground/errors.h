/*
 * errors.h
 *	  The SQLSTATEs of event_engine.
 *
 * Class VE is ours; a code never changes its meaning once released.  The
 * manual page docs/errors.md lists them with cause and cure.
 */
#ifndef EE_ERRORS_H
#define EE_ERRORS_H

#include "postgres.h"

#include "utils/elog.h"

/* VE0: the registry */
#define EE_ERRCODE_UNKNOWN_PATTERN		MAKE_SQLSTATE('V','E','0','0','1')
#define EE_ERRCODE_UNKNOWN_VERSION		MAKE_SQLSTATE('V','E','0','0','2')
#define EE_ERRCODE_STALE_REVISION		MAKE_SQLSTATE('V','E','0','0','3')
#define EE_ERRCODE_DEFINITION_STATUS	MAKE_SQLSTATE('V','E','0','0','4')
#define EE_ERRCODE_SOURCE_TYPE			MAKE_SQLSTATE('V','E','0','0','5')
#define EE_ERRCODE_INVALID_DEFINITION	MAKE_SQLSTATE('V','E','0','0','6')
#define EE_ERRCODE_INCOMPATIBLE_SCHEMA	MAKE_SQLSTATE('V','E','0','0','7')

/* VE1: validation */
#define EE_ERRCODE_INVALID_PAYLOAD		MAKE_SQLSTATE('V','E','1','0','1')
#define EE_ERRCODE_INVALID_SCHEMA		MAKE_SQLSTATE('V','E','1','0','2')
#define EE_ERRCODE_UNRESOLVED_REF		MAKE_SQLSTATE('V','E','1','0','3')
#define EE_ERRCODE_SCHEMA_TOO_COMPLEX	MAKE_SQLSTATE('V','E','1','0','4')

/* VE2: the store */
#define EE_ERRCODE_INVALID_EVENT		MAKE_SQLSTATE('V','E','2','0','1')
#define EE_ERRCODE_PAYLOAD_TOO_LARGE	MAKE_SQLSTATE('V','E','2','0','2')
#define EE_ERRCODE_IMMUTABLE			MAKE_SQLSTATE('V','E','2','0','3')
#define EE_ERRCODE_ASSIGNED_COLUMN		MAKE_SQLSTATE('V','E','2','0','4')
#define EE_ERRCODE_UNKNOWN_EVENT		MAKE_SQLSTATE('V','E','2','0','5')
#define EE_ERRCODE_HOP_LIMIT			MAKE_SQLSTATE('V','E','2','0','6')
#define EE_ERRCODE_RATE_LIMIT			MAKE_SQLSTATE('V','E','2','0','7')
#define EE_ERRCODE_QUEUE_FULL			MAKE_SQLSTATE('V','E','2','0','8')

/* VE3: routing */
#define EE_ERRCODE_INVALID_PATTERN		MAKE_SQLSTATE('V','E','3','0','1')
#define EE_ERRCODE_INVALID_FILTER		MAKE_SQLSTATE('V','E','3','0','2')
#define EE_ERRCODE_UNKNOWN_SUBSCRIPTION MAKE_SQLSTATE('V','E','3','0','3')
#define EE_ERRCODE_INVALID_SUBSCRIPTION MAKE_SQLSTATE('V','E','3','0','4')

/* VE4: delivery */
#define EE_ERRCODE_INVALID_HANDLER		MAKE_SQLSTATE('V','E','4','0','1')
#define EE_ERRCODE_STALE_RECEIPT		MAKE_SQLSTATE('V','E','4','0','2')
#define EE_ERRCODE_SUBSCRIPTION_KIND	MAKE_SQLSTATE('V','E','4','0','3')
#define EE_ERRCODE_SUBSCRIPTION_BUSY	MAKE_SQLSTATE('V','E','4','0','4')
#define EE_ERRCODE_NOT_DRAINED			MAKE_SQLSTATE('V','E','4','0','8')
#define EE_ERRCODE_IMMEDIATE_COMMIT		MAKE_SQLSTATE('V','E','4','0','5')
#define EE_ERRCODE_INVALID_SCHEDULE		MAKE_SQLSTATE('V','E','4','0','6')
#define EE_ERRCODE_NO_SCHEDULER			MAKE_SQLSTATE('V','E','4','0','7')
#define EE_ERRCODE_REPLAY				MAKE_SQLSTATE('V','E','4','0','9')
#define EE_ERRCODE_NO_REPLY				MAKE_SQLSTATE('V','E','4','2','1')
#define EE_ERRCODE_NO_RESPONDER			MAKE_SQLSTATE('V','E','4','2','2')

/* VE5: workflows */
#define EE_ERRCODE_UNKNOWN_WORKFLOW		MAKE_SQLSTATE('V','E','5','0','1')
#define EE_ERRCODE_UNKNOWN_INSTANCE		MAKE_SQLSTATE('V','E','5','0','2')
#define EE_ERRCODE_INVALID_WORKFLOW		MAKE_SQLSTATE('V','E','5','0','3')
#define EE_ERRCODE_INSTANCE_STATUS		MAKE_SQLSTATE('V','E','5','0','4')
#define EE_ERRCODE_INVALID_ANSWER		MAKE_SQLSTATE('V','E','5','0','5')
#define EE_ERRCODE_INVALID_WAIT			MAKE_SQLSTATE('V','E','5','0','6')

/* VE7: operations */
#define EE_ERRCODE_NOT_PRELOADED		MAKE_SQLSTATE('V','E','7','0','1')
#define EE_ERRCODE_VERSION_MISMATCH		MAKE_SQLSTATE('V','E','7','0','2')
#define EE_ERRCODE_PARTITION_HELD		MAKE_SQLSTATE('V','E','7','0','3')

#endif							/* EE_ERRORS_H */
