/*
 * trigger.h
 *	  Events that start workflows, and events that cancel them.
 *
 *		if (!ee_trigger_begin(&triggers, number)) ... stale: begin again
 *		for each event of the batch: ee_trigger_note(&triggers, slot, moment)
 *		... the cursor will stand behind seq ...
 *		n = ee_trigger_fire(&triggers, seq)
 */
#ifndef EE_TRIGGER_H
#define EE_TRIGGER_H

#include "postgres.h"

#include "executor/tuptable.h"
#include "nodes/pg_list.h"

#include "ground/envelope.h"

/* Of one batch, in the context that was current when it began. */
typedef struct EeTriggers
{
	List	   *list;			/* of the dispatcher; NIL: none, all is cheap */
	List	   *noted;			/* firings to be made, in order */
	bool		postponed;		/* one of those made, to a moment later */
	MemoryContext context;
} EeTriggers;

/*
 * Called after the batch's snapshot was taken.  False when a trigger may have
 * been changed of which this process has not been told: events must not be
 * passed over for it.
 */
extern bool ee_trigger_begin(EeTriggers *triggers, int32 number);

/*
 * An event that is put off starts its workflows at once, to take their first
 * step when it is due; what it cancels it cancels when it is due.
 */
typedef enum EeTriggerMoment
{
	EE_TRIGGER_READ,			/* and due */
	EE_TRIGGER_PUT_OFF,
	EE_TRIGGER_DUE				/* and was put off before */
} EeTriggerMoment;

/* Remember which triggers want the event (a tuple of the log). */
extern void ee_trigger_note(EeTriggers *triggers, TupleTableSlot *slot,
							EeTriggerMoment moment);

/*
 * Fire the triggers for the events up to that position, in the transaction
 * that moves the cursor there.  Returns how many were.
 */
extern int	ee_trigger_fire(EeTriggers *triggers, int64 seq);

/*
 * Fire those that could not be fired before, because somebody was in the way.
 * How many were; *left: some could not again.
 */
extern int	ee_trigger_fire_postponed(int32 number, bool *left);

#endif							/* EE_TRIGGER_H */
