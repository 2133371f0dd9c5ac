/*
 * subscription.h
 *	  A subscription as its row in event_engine.subscriptions says.
 */
#ifndef EE_SUBSCRIPTION_H
#define EE_SUBSCRIPTION_H

#include "postgres.h"

#include "fmgr.h"
#include "nodes/pg_list.h"
#include "utils/uuid.h"

#include "ground/backoff.h"
#include "ground/breaker.h"
#include "ground/rate_bucket.h"
#include "routing/match.h"

typedef enum EeSubscriptionKind
{
	EE_SUBSCRIPTION_HANDLER,
	EE_SUBSCRIPTION_PULL,
	EE_SUBSCRIPTION_NOTIFY,
	EE_SUBSCRIPTION_WORKFLOW	/* dispatches to the workflows of a role */
} EeSubscriptionKind;

#define EE_N_SUBSCRIPTION_KINDS	(EE_SUBSCRIPTION_WORKFLOW + 1)

typedef enum EeSubscriptionStatus
{
	EE_SUBSCRIPTION_ACTIVE,
	EE_SUBSCRIPTION_PAUSED,
	EE_SUBSCRIPTION_BROKEN
} EeSubscriptionStatus;

/* Of the row: another one is another version of it. */
typedef struct EeSubscriptionVersion
{
	uint32		xmin;
	uint32		block;
	uint32		offset;
} EeSubscriptionVersion;

typedef struct EeSubscription
{
	int32		number;
	EeSubscriptionVersion version;
	pg_uuid_t	id;
	char	   *subscriber;
	Oid			owner;
	EeSubscriptionKind kind;
	EeSubscriptionStatus status;
	char	   *handler;		/* signature, kind handler */
	char	   *channel;		/* kind notify */
	EeMatcher  *matcher;
	int32		epoch;			/* by whose rule events are assigned to lanes */
	int			concurrency;	/* of that epoch */
	bool		lanes_ordered;	/* likewise */
	int			n_epochs;		/* it and those to follow */

	/* options */
	int			batch_size;		/* events a transaction */
	int			max_attempts;	/* then a dead letter */
	EeBackoff	backoff;
	int			timeout_ms;		/* of one call of the handler; 0: none */
	bool		processing_log;
	bool		immediate;		/* called by the publisher, not by workers */
	EeRateLimit rate;			/* events a second; rate 0: any */
	bool		backpressure;	/* publishers wait for it when it is behind */
	int			max_in_flight;	/* events under way at once; 0: any */
	EeBreakerLimit breaker;
	bool		ordered;		/* events of a key wait for each other */
	bool		halts;			/* also for one that has been given up */
	char	   *idempotency_key;	/* SQL/JSON path; NULL: none */
	double		idempotency_window_ms;
} EeSubscription;

/*
 * The subscriptions of a role (InvalidOid: of every role), in order of
 * number, in CurrentMemoryContext.  Reads with the active snapshot.
 */
extern List *ee_subscription_load_all(Oid owner);

/* The face of functions that are written in SQL; see subscription_api.c. */
extern PGDLLEXPORT Datum ee_sql_subscription_call(PG_FUNCTION_ARGS);

#endif							/* EE_SUBSCRIPTION_H */
