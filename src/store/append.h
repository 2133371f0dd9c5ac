/*
 * append.h
 *	  Put received events into the log.
 */
#ifndef EE_APPEND_H
#define EE_APPEND_H

#include "postgres.h"

#include "ground/envelope.h"

/* Give them their place in the log and store them, in this order. */
extern void ee_append_events(EeEvent *events, int n);

/* Give one its place: xid, then seq.  For rows that the server inserts. */
extern void ee_append_position(EeEvent *event);

/* Tell those who wait for them, and count them, at commit. */
extern void ee_append_note(const EeEvent *events, int n);

/*
 * Called with events that have just been stored, in the transaction that
 * publishes them; NULL: nobody wants to be.  Rows that go the way of INSERT
 * are not told of here, as its triggers fire for them.
 */
extern void (*ee_append_hook) (EeEvent *events, int n);

/* Is this the row that append.c itself inserts?  That is received already. */
extern bool ee_append_own_row(int64 seq);

#endif							/* EE_APPEND_H */
