/*
 * resume.h
 *	  Take the steps that a round has found to be taken.
 */
#ifndef EE_RESUME_H
#define EE_RESUME_H

#include "postgres.h"

#include "datatype/timestamp.h"
#include "utils/uuid.h"

#include "delivery/batch.h"
#include "delivery/unit.h"
#include "workflow/step.h"

typedef enum EeResumeCall
{
	EE_RESUME_WAIT,				/* one of its waits is over: resumption */
	EE_RESUME_DUE,				/* its step is due */
	EE_RESUME_DEADLINE			/* its time is over */
} EeResumeCall;

typedef struct EeResume
{
	EeResumeCall call;
	pg_uuid_t	instance;
	EeResumption resumption;
	int64		seq;			/* of its event */
	int64		previous;		/* where the lane stands before that event */
	bool		of_past;		/* the lane had passed it: see look_back.c */
	bool		postponed;		/* it was, and has a row: postponed.c */
	pg_uuid_t	postponed_wait; /* of that row */
	bool		busy;			/* somebody else has the instance locked */
} EeResume;

/* In a context of its own, which events are to be in as well. */
typedef struct EeResumeList
{
	MemoryContext context;
	EeResume   *items;
	int			n;
	int			allocated;
	int			max;
	bool		locked;			/* their instances are, as they were found */
} EeResumeList;

/* In CurrentMemoryContext. */
extern EeResumeList *ee_resume_list(int max);

/* One more, zeroed. */
extern EeResume *ee_resume_add(EeResumeList *list);

/* What became of them; outlives the unit. */
typedef struct EeResumeProgress
{
	int			begun;			/* the one that was begun last is before this */
	int			done;			/* dealt with, one way or the other */
	int			resumed;
	int			failed;
	bool		in_step;		/* a step is being taken */
	EeResume	current;		/* that; its event goes with the unit */
	TimestampTz began;
} EeResumeProgress;

/*
 * Take the steps in order, until all are taken or the time is over; at least
 * one.  Their instances are locked before, and where somebody else has one
 * locked its step is postponed.
 * Where steps have failed of late, each is taken in a subtransaction, and one
 * that fails is written down; else an error is raised.
 */
extern void ee_resume_run(EeDelivery *delivery, const EeUnit *unit,
						  EeResumeList *list, TimestampTz until,
						  EeResumeProgress *progress);

/*
 * The unit has failed: decide what to do otherwise in the next.  The error,
 * of ee_unit_take_error(), is no longer the caller's.  EE_ROUND_FAILED, or
 * EE_ROUND_STALE when no step is to blame.
 */
extern EeRoundOutcome ee_resume_unit_failed(EeDelivery *delivery,
											const EeUnit *unit,
											const EeResumeProgress *progress,
											bool committing,
											ErrorData *error);
extern void ee_resume_unit_passed(EeDelivery *delivery,
								  const EeResumeProgress *progress);

/* How many steps the next unit may take. */
extern int	ee_resume_limit(EeDelivery *delivery, int max);

#endif							/* EE_RESUME_H */
