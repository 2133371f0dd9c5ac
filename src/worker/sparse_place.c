/*
 * sparse_place.c
 *	  Where the tables say that the lanes of very many subscriptions stand.
 */
#include "postgres.h"

#include "utils/builtins.h"
#include "utils/memutils.h"

#include "ground/identity.h"
#include "ground/plan.h"
#include "worker/sparse_place.h"

/* Of so many, one may be left behind; at most. */
#define LEFT_SHARE		100
#define LEFT_MAX		1000

static int	compare_positions(const void *a, const void *b);

/* The latest move, or the origin. */
EeSparsePlace *
ee_sparse_place_read(Oid owner, EePriority class, int *n)
{
	static EePlan latest =
		EE_PLAN("SELECT DISTINCT ON (a.number) a.number, a.move, a.low_snapshot, a.low_seq, a.low_base_seq "
				"FROM (SELECT s.number, c.lane, c.move, c.low_snapshot, c.low_seq, c.low_base_seq "
				"FROM event_engine.subscriptions AS s JOIN event_engine.subscription_cursors AS c "
				"ON c.subscription_number = s.number AND c.lane IN (s.epoch * 1024 + $2, s.epoch * 1024 + 1023) "
				"WHERE s.owner = $1 "
				"UNION ALL SELECT s.number, m.lane, m.move, m.low_snapshot, m.low_seq, m.low_base_seq "
				"FROM event_engine.subscriptions AS s JOIN event_engine.subscription_cursor_moves AS m "
				"ON m.subscription_number = s.number AND m.lane = s.epoch * 1024 + $2 "
				"WHERE s.owner = $1) AS a "
				"ORDER BY a.number, (a.lane % 1024 = 1023), a.move DESC",
				"regrole", "int4");
	MemoryContext caller = CurrentMemoryContext;
	EePlanFrame frame;
	EeIdentity	saved;
	Datum		values[] = {ObjectIdGetDatum(owner), Int32GetDatum(class)};
	EeSparsePlace *places;

	ee_identity_engine(&saved);
	ee_plan_begin(&frame);
	*n = (int) ee_plan_execute(&latest, values, NULL, false, 0);
	places = MemoryContextAllocHuge(caller, sizeof(EeSparsePlace) * Max(*n, 1));
	for (int i = 0; i < *n; i++)
	{
		EeSparsePlace *place = &places[i];
		HeapTuple	row = SPI_tuptable->vals[i];
		TupleDesc	desc = SPI_tuptable->tupdesc;
		MemoryContext old;
		bool		isnull;

		place->number = DatumGetInt32(SPI_getbinval(row, desc, 1, &isnull));
		place->move = DatumGetInt64(SPI_getbinval(row, desc, 2, &isnull));
		old = MemoryContextSwitchTo(caller);
		ee_log_position_set_snapshot(&place->low,
									 SPI_getbinval(row, desc, 3, &isnull));
		MemoryContextSwitchTo(old);
		place->low.seq = DatumGetInt64(SPI_getbinval(row, desc, 4, &isnull));
		place->low.base_seq = DatumGetInt64(SPI_getbinval(row, desc, 5,
														  &isnull));
	}
	ee_plan_end(&frame);
	ee_identity_restore(&saved);
	return places;
}

/* The numbers of subscriptions that have any, found one from the other. */
int *
ee_sparse_place_busy(int *n)
{
	static EePlan any =
		EE_PLAN("WITH RECURSIVE n AS ("
				"SELECT pg_catalog.min(d.subscription_number) AS number FROM event_engine.deliveries AS d "
				"UNION ALL SELECT (SELECT pg_catalog.min(d.subscription_number) FROM event_engine.deliveries AS d "
				"WHERE d.subscription_number OPERATOR(pg_catalog.>) n.number) FROM n WHERE n.number IS NOT NULL) "
				"SELECT n.number FROM n WHERE n.number IS NOT NULL");
	MemoryContext caller = CurrentMemoryContext;
	EePlanFrame frame;
	EeIdentity	saved;
	int		   *numbers;

	ee_identity_engine(&saved);
	ee_plan_begin(&frame);
	ee_plan_by_index(&frame);
	*n = (int) ee_plan_execute(&any, NULL, NULL, false, 0);
	numbers = MemoryContextAlloc(caller, sizeof(int) * Max(*n, 1));
	for (int i = 0; i < *n; i++)
	{
		bool		isnull;

		numbers[i] = DatumGetInt32(ee_plan_value(i, 1, &isnull));
	}
	ee_plan_end(&frame);
	ee_identity_restore(&saved);
	return numbers;
}

/*
 * The place that is furthest behind, but for a few: a lane that nobody has
 * moved for a month would make all others wait.
 */
const EeLogPosition *
ee_sparse_place_first(const EeLogPosition **places, int n)
{
	qsort(places, n, sizeof(EeLogPosition *), compare_positions);
	return places[Min(n / LEFT_SHARE, LEFT_MAX)];
}

static int
compare_positions(const void *a, const void *b)
{
	const EeLogPosition *first = *(const EeLogPosition *const *) a;
	const EeLogPosition *second = *(const EeLogPosition *const *) b;

	if (first->xmax != second->xmax)
		return first->xmax < second->xmax ? -1 : 1;
	return first->seq < second->seq ? -1 : first->seq > second->seq;
}
