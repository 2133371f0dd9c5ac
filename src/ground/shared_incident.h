/*
 * shared_incident.h
 *	  What a process has met and cannot publish itself: it is written down in
 *	  shared memory, and the router of the database publishes it.
 */
#ifndef EE_SHARED_INCIDENT_H
#define EE_SHARED_INCIDENT_H

#include "postgres.h"

#include "datatype/timestamp.h"
#include "storage/lwlock.h"

typedef enum EeIncidentKind
{
	EE_INCIDENT_DENIED,			/* text: the error's message */
	EE_INCIDENT_WORKER_FAILED,
	EE_INCIDENT_CIRCUIT_OPENED, /* text: the subscriber */
	EE_INCIDENT_CIRCUIT_CLOSED, /* text: the subscriber */
	EE_INCIDENT_QUEUE_HIGH,		/* text: the subscriber */
	EE_INCIDENT_QUEUE_NORMAL,
	EE_N_INCIDENT_KINDS
} EeIncidentKind;

/* As many are kept until the router takes them. */
#define EE_INCIDENTS		64
#define EE_INCIDENT_TEXT	256

typedef struct EeIncident
{
	Oid			dbid;			/* InvalidOid: free */
	EeIncidentKind kind;
	int			count;			/* so often, since the first */
	TimestampTz at;				/* the first */
	int64		number;			/* how deep, ... */
	Oid			session;		/* role that had logged in */
	Oid			role;			/* in whose name it was done */
	int			pid;			/* of the first */
	char		application[NAMEDATALEN];
	char		client[NAMEDATALEN];
	char		text[EE_INCIDENT_TEXT];
} EeIncident;

extern Size ee_shared_incident_size(void);
extern void ee_shared_incident_startup(void *memory, bool found,
									   LWLock *lock);

/*
 * Write one down for this database, and wake its router.  The same again,
 * while the first is still there, is counted.  Never waits and never raises,
 * so that it may be called while an error is dealt with; what finds no room,
 * or the lock taken, is counted as missed.
 */
extern void ee_shared_incident_note(EeIncidentKind kind, const char *text,
									int64 number);

/* The router: take the oldest of this database; false: there is none. */
extern bool ee_shared_incident_take(EeIncident *incident);

/* How many could not be written down, of all databases; they are forgotten. */
extern uint32 ee_shared_incident_missed(void);

#endif							/* EE_SHARED_INCIDENT_H */
