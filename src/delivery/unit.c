/*
 * unit.c
 *	  A unit of delivery: a transaction in a worker, a subtransaction in
 *	  somebody's session.
 */
#include "postgres.h"

#include "executor/spi.h"
#include "miscadmin.h"
#include "storage/lock.h"
#include "utils/guc.h"
#include "utils/inval.h"
#include "utils/memutils.h"

#include "delivery/broken.h"
#include "delivery/handler.h"
#include "delivery/order.h"
#include "delivery/retry.h"
#include "delivery/unit.h"
#include "ground/debug_point.h"
#include "ground/error_text.h"
#include "ground/errors.h"
#include "ground/invalidate.h"
#include "ground/shared.h"

static void forget(EeDelivery *delivery);

ErrorData *
ee_unit_run(EeDelivery *delivery, const EeUnit *unit, const EeUnitWork *work,
			int max, void *progress, bool *committing)
{
	ErrorData  *volatile error = NULL;

	unit->begin();
	PG_TRY();
	{
		bool		called = work->run(delivery, unit, max, progress);

		*committing = true;
		ee_debug_point(work->before_commit);
		/* deferred triggers are the handler's work as well */
		if (called && !unit->in_session)
			ee_handler_timeout_start(delivery->subscription->timeout_ms);
		unit->commit();
		ee_handler_timeout_stop();
	}
	PG_CATCH();
	{
		error = ee_unit_take_error(delivery);
		unit->abort();
		ee_unit_heed_cancel(unit, error);
		ee_debug_point(work->after_abort);
	}
	PG_END_TRY();
	return error;
}

/*
 * Whoever calls process_batch() and cancels it means the call, and no event is
 * to blame.
 */
void
ee_unit_heed_cancel(const EeUnit *unit, ErrorData *error)
{
	if (unit->in_session && error->sqlerrcode == ERRCODE_QUERY_CANCELED &&
		!ee_handler_timed_out())
		ReThrowError(error);
}

/*
 * Take the lane's lock and see whether the subscription is still what we know.
 * Whoever changes or removes it locks all lanes first, so nothing is delivered
 * after unsubscribe() has committed.
 */
bool
ee_unit_enter(EeDelivery *delivery, EeRoundOutcome *outcome)
{
	if (!ee_cursor_lock_lane(delivery->subscription->number, delivery->lane.number))
	{
		*outcome = EE_ROUND_LOCKED;
		return false;
	}
	AcceptInvalidationMessages();
	if (delivery->generation != ee_invalidate_generation(EE_REL_SUBSCRIPTIONS))
	{
		*outcome = EE_ROUND_STALE;
		return false;
	}
	/* somebody who stood in for us may have had the lane until now */
	if (delivery->borrowed ||
		delivery->helped != ee_shared_executor_helped())
	{
		delivery->helped = ee_shared_executor_helped();
		forget(delivery);
	}
	return true;
}

/* What is known of the lane is read again. */
static void
forget(EeDelivery *delivery)
{
	delivery->cursor = NULL;
	ee_order_forget(delivery);
	if (delivery->base == delivery)
		ee_retry_forget(delivery);
}

/*
 * In a worker we are the owner already, and only settings are scoped: what a
 * handler sets is undone at the end of its batch.
 */
void
ee_unit_act_as_owner(EeDelivery *delivery, const EeUnit *unit,
					 EeIdentity *saved)
{
	if (unit->in_session)
	{
		Oid			owner = delivery->subscription->owner;
		bool		own = GetUserId() == owner;

		/*
		 * Deferred triggers of the handler must fire while we are its owner,
		 * not at the end of a transaction of somebody with more rights, and
		 * restricted as we are nothing can be deferred.  What the caller has
		 * deferred fires now, in the caller's name.
		 */
		SPI_connect();
		if (SPI_execute("SET CONSTRAINTS ALL IMMEDIATE", false, 0) < 0)
			elog(ERROR, "could not set constraints immediate");
		SPI_finish();
		ee_identity_handler(saved, owner);
		/* the caller's path is for what belongs to the caller */
		if (!own)
			ee_identity_search_path(owner);
	}
	else
		saved->guc_level = NewGUCNestLevel();
}

void
ee_unit_act_as_before(const EeUnit *unit, const EeIdentity *saved)
{
	if (unit->in_session)
		ee_identity_restore(saved);
	else
	{
		AtEOXact_GUC(false, saved->guc_level);
		LockReleaseSession(USER_LOCKMETHOD);
	}
}

/*
 * The error, with what made it clearer.  It has a memory context of its own:
 * FreeErrorData() leaves some of it, and we live for long.
 */
ErrorData *
ee_unit_take_error(EeDelivery *delivery)
{
	ErrorData  *error;

	ee_handler_reset();
	MemoryContextSwitchTo(AllocSetContextCreate(delivery->context,
												"event_engine error",
												ALLOCSET_SMALL_SIZES));
	error = ee_error_text_copy();
	FlushErrorState();
	if (ee_handler_timed_out() && error->sqlerrcode == ERRCODE_QUERY_CANCELED)
		error->message = psprintf("handler exceeded its time-out of %d ms",
								  delivery->subscription->timeout_ms);
	MemoryContextSwitchTo(delivery->context);
	return error;
}

void
ee_unit_forget_error(ErrorData *error)
{
	MemoryContextDelete(error->assoc_context);
}

void
ee_unit_give_up(EeDelivery *delivery, const EeUnit *unit, ErrorData *error)
{
	if (error->sqlerrcode != EE_ERRCODE_INVALID_HANDLER &&
		error->sqlerrcode != ERRCODE_INSUFFICIENT_PRIVILEGE)
		ReThrowError(error);
	unit->begin();
	ee_broken_mark(delivery->subscription, error->message);
	unit->commit();
}
