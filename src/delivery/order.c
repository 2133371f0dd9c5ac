/*
 * order.c
 *	  The order of events of one key, where some of them fail.
 *
 * The first event of a key that fails is its head: a row of deliveries with
 * status retry, or halted once it has become a dead letter and the
 * subscription says to wait for a person.  Events that are met behind it are
 * parked in the transaction that moves the cursor over them.  When the head
 * is done with the parked ones follow; the first of them that fails is the
 * next head.
 *
 *		not held up	-> retry	(it failed)
 *		parked		-> gone (delivered, behind its head) | retry
 *		retry		-> gone (delivered, or given up with "continue")
 *					-> halted (given up with "halt")
 *		halted		-> retry (redriven) | released (discarded)
 *		released	-> gone
 *
 * All of this is done by whoever has the lock of the key's lane.  Others only
 * turn halted rows into retry or released ones, which free no key by
 * themselves.
 *
 * Which keys have rows is kept in memory.  Keys of other lanes may be among
 * them; nobody asks for those.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "common/hashfn.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "delivery/order.h"
#include "ground/envelope.h"
#include "ground/extension.h"
#include "ground/identity.h"
#include "ground/invalidate.h"
#include "ground/plan.h"

typedef struct HeldKey
{
	const text *key;			/* of its own */
	char		status;
} HeldKey;

static inline bool
same_key(const text *a, const text *b)
{
	return VARSIZE_ANY_EXHDR(a) == VARSIZE_ANY_EXHDR(b) &&
		memcmp(VARDATA_ANY(a), VARDATA_ANY(b), VARSIZE_ANY_EXHDR(a)) == 0;
}

#define SH_PREFIX		held
#define SH_ELEMENT_TYPE	HeldKey
#define SH_KEY_TYPE		const text *
#define SH_KEY			key
#define SH_HASH_KEY(tb, key) \
	hash_bytes((const unsigned char *) VARDATA_ANY(key), VARSIZE_ANY_EXHDR(key))
#define SH_EQUAL(tb, a, b)	same_key(a, b)
#define SH_SCOPE		static inline
#define SH_DECLARE
#define SH_DEFINE
#include "lib/simplehash.h"

struct EeOrder
{
	MemoryContext context;
	held_hash  *keys;
	uint64		generation;		/* of the cursors, when it was read */
};

static void load(EeDelivery *delivery);
static void promote_orphans(EeDelivery *delivery);
static Datum key_array(text **keys, int n);

/* A session that delivered meanwhile has announced that it moved a cursor. */
void
ee_order_enter(EeDelivery *delivery)
{
	if (!ee_order_kept(delivery))
		return;
	if (delivery->order != NULL &&
		delivery->order->generation !=
		ee_invalidate_generation(EE_REL_SUBSCRIPTION_CURSORS))
		ee_order_forget(delivery);
	if (delivery->order == NULL)
		load(delivery);
}

void
ee_order_forget(EeDelivery *delivery)
{
	if (delivery->order != NULL)
		MemoryContextDelete(delivery->order->context);
	delivery->order = NULL;
}

static void
load(EeDelivery *delivery)
{
	static EePlan keys =
		EE_PLAN("SELECT DISTINCT partition_key::pg_catalog.text "
				"FROM event_engine.deliveries "
				"WHERE subscription_number = $1 AND partition_key IS NOT NULL",
				"int4");
	MemoryContext context = AllocSetContextCreate(delivery->context,
												  "event_engine order",
												  ALLOCSET_SMALL_SIZES);
	EeOrder    *order = MemoryContextAlloc(context, sizeof(EeOrder));
	Datum		number = Int32GetDatum(delivery->subscription->number);
	EePlanFrame frame;
	EeIdentity	saved;
	uint64		n;

	order->context = context;
	order->generation = ee_invalidate_watch(EE_REL_SUBSCRIPTION_CURSORS);
	order->keys = held_create(context, 16, NULL);
	promote_orphans(delivery);
	ee_identity_engine(&saved);
	ee_plan_begin(&frame);
	n = ee_plan_execute(&keys, &number, NULL, false, 0);
	delivery->order = order;
	for (uint64 i = 0; i < n; i++)
	{
		bool		isnull;
		Datum		key = ee_plan_value(i, 1, &isnull);

		ee_order_block(delivery, DatumGetTextPP(key));
	}
	ee_plan_end(&frame);
	ee_identity_restore(&saved);
}

/*
 * Parked rows whose head is gone, which is a person's doing: nothing would
 * ever make them due.
 */
static void
promote_orphans(EeDelivery *delivery)
{
	static EePlan promote =
		EE_PLAN("UPDATE event_engine.deliveries AS d "
				"SET status = 'retry', next_attempt_at = pg_catalog.clock_timestamp() "
				"WHERE d.subscription_number = $1 AND d.partition_key IS NOT NULL "
				"AND d.status = 'parked' AND NOT EXISTS ("
				"SELECT FROM event_engine.deliveries AS b "
				"WHERE b.subscription_number = $1 "
				"AND b.partition_key = d.partition_key AND b.seq < d.seq)",
				"int4");
	Datum		number = Int32GetDatum(delivery->subscription->number);
	EePlanFrame frame;
	EeIdentity	saved;

	ee_identity_engine(&saved);
	ee_plan_begin(&frame);
	ee_plan_execute(&promote, &number, NULL, false, 0);
	ee_plan_end(&frame);
	ee_identity_restore(&saved);
}

text *
ee_order_key(const EeDelivery *delivery, TupleTableSlot *slot)
{
	bool		isnull;
	Datum		key;

	if (!ee_order_kept(delivery))
		return NULL;
	key = slot_getattr(slot, EE_EVENT_PARTITION_KEY, &isnull);
	return isnull ? NULL : DatumGetTextPCopy(key);
}

bool
ee_order_holds(const EeDelivery *delivery, const text *key)
{
	return key != NULL && delivery->order != NULL &&
		held_lookup(delivery->order->keys, key) != NULL;
}

bool
ee_order_holds_any(const EeDelivery *delivery)
{
	return delivery->order != NULL && delivery->order->keys->members > 0;
}

void
ee_order_block(EeDelivery *delivery, const text *key)
{
	HeldKey    *held;
	bool		found;
	text	   *copy;

	if (key == NULL || delivery->order == NULL)
		return;
	held = held_insert(delivery->order->keys, key, &found);
	if (found)
		return;
	copy = MemoryContextAlloc(delivery->order->context, VARSIZE_ANY(key));
	memcpy(copy, key, VARSIZE_ANY(key));
	held->key = copy;
}

void
ee_order_free(EeDelivery *delivery, const text *key)
{
	HeldKey    *held;
	const text *copy;

	if (key == NULL || delivery->order == NULL)
		return;
	held = held_lookup(delivery->order->keys, key);
	if (held == NULL)
		return;
	copy = held->key;
	held_delete_item(delivery->order->keys, held);
	pfree(unconstify(text *, copy));
}

/* One that is read twice has its row already. */
void
ee_order_park(EeDelivery *delivery, Datum *events, int n)
{
	static EePlan park =
		EE_PLAN("INSERT INTO event_engine.deliveries (subscription_number, seq, id, "
				"status, next_attempt_at, event, partition_key) "
				"SELECT $1, e.seq, e.id, 'parked', 'infinity'::pg_catalog.timestamptz, "
				"ROW(e.*)::event_engine.event, e.partition_key "
				"FROM pg_catalog.unnest($2) AS e "
				"ON CONFLICT ON CONSTRAINT deliveries_pkey DO NOTHING",
				"int4", "event_engine.event[]");
	EePlanFrame frame;
	EeIdentity	saved;
	Datum		values[2];

	if (n == 0)
		return;
	values[0] = Int32GetDatum(delivery->subscription->number);
	values[1] = PointerGetDatum(construct_array(events, n,
												ee_extension_event_type(), -1,
												false, TYPALIGN_DOUBLE));
	ee_identity_engine(&saved);
	ee_plan_begin(&frame);
	ee_plan_execute(&park, values, NULL, false, 0);
	ee_plan_end(&frame);
	ee_identity_restore(&saved);
}

/*
 * Those that follow are read for all heads at once, by seq behind each; they
 * end where one waits for a time of its own.
 */
int
ee_order_follow(EeDelivery *delivery, EeDue *due, int n, int max)
{
	static EePlan behind =
		EE_PLAN("SELECT h.n::pg_catalog.int4, f.seq, f.attempts, f.event, f.status = 'parked' "
				"FROM unnest($2, $3) WITH ORDINALITY AS h (key, seq, n) "
				"CROSS JOIN LATERAL (SELECT d.seq, d.attempts, d.event, d.status "
				"FROM event_engine.deliveries AS d "
				"WHERE d.subscription_number = $1 AND d.partition_key = h.key COLLATE pg_catalog.\"C\" "
				"AND d.seq > h.seq ORDER BY d.seq LIMIT $4) AS f "
				"ORDER BY h.n, f.seq",
				"int4", "text[]", "int8[]", "int4");
	MemoryContext caller = CurrentMemoryContext;
	EeDue	   *heads = palloc(sizeof(EeDue) * n);
	text	  **keys = palloc(sizeof(text *) * n);
	Datum	   *seqs = palloc(sizeof(Datum) * n);
	int		   *ordinal = palloc(sizeof(int) * n);
	EePlanFrame frame;
	EeIdentity	saved;
	Datum		values[4];
	uint64		found = 0;
	uint64		row = 0;
	int			n_keys = 0;
	int			total = 0;

	memcpy(heads, due, sizeof(EeDue) * n);
	for (int i = 0; i < n; i++)
	{
		ordinal[i] = 0;
		if (heads[i].key == NULL)
			continue;
		keys[n_keys] = heads[i].key;
		seqs[n_keys] = Int64GetDatum(heads[i].seq);
		ordinal[i] = ++n_keys;
	}
	ee_identity_engine(&saved);
	ee_plan_begin(&frame);
	if (n_keys > 0 && max > 0)
	{
		values[0] = Int32GetDatum(delivery->subscription->number);
		values[1] = key_array(keys, n_keys);
		values[2] = PointerGetDatum(construct_array(seqs, n_keys, INT8OID,
													sizeof(int64),
													FLOAT8PASSBYVAL,
													TYPALIGN_DOUBLE));
		values[3] = Int32GetDatum(max);
		ee_plan_by_index(&frame);
		found = ee_plan_execute(&behind, values, NULL, false, 0);
	}
	MemoryContextSwitchTo(caller);
	for (int i = 0; i < n; i++)
	{
		EeDue	   *head = &due[total];
		bool		parked = true;

		*head = heads[i];
		head->chain = i;
		head->followers = 0;
		total++;
		for (; ordinal[i] > 0 && row < found; row++)
		{
			HeapTuple	tuple = SPI_tuptable->vals[row];
			TupleDesc	desc = SPI_tuptable->tupdesc;
			EeDue	   *next = &due[total];
			bool		isnull;

			if (DatumGetInt32(SPI_getbinval(tuple, desc, 1, &isnull)) !=
				ordinal[i])
				break;
			parked = parked &&
				DatumGetBool(SPI_getbinval(tuple, desc, 5, &isnull));
			if (!parked)
				continue;
			memset(next, 0, sizeof(*next));
			next->seq = DatumGetInt64(SPI_getbinval(tuple, desc, 2, &isnull));
			next->attempts =
				DatumGetInt32(SPI_getbinval(tuple, desc, 3, &isnull));
			next->event =
				PointerGetDatum(DatumGetHeapTupleHeaderCopy(SPI_getbinval(tuple,
																		  desc, 4,
																		  &isnull)));
			next->key = head->key;
			next->chain = i;
			head->followers++;
			total++;
		}
		/* there is nothing behind the last one */
		head->ends = head->key != NULL && parked && head->followers < max;
	}
	ee_plan_end(&frame);
	ee_identity_restore(&saved);
	return total;
}

static Datum
key_array(text **keys, int n)
{
	Datum	   *elements = palloc(sizeof(Datum) * n);

	for (int i = 0; i < n; i++)
		elements[i] = PointerGetDatum(keys[i]);
	return PointerGetDatum(construct_array(elements, n, TEXTOID, -1, false,
										   TYPALIGN_INT));
}

void
ee_order_advance(EeDelivery *delivery, text **keys, int n)
{
	static EePlan advance =
		EE_PLAN("WITH first AS MATERIALIZED (SELECT k.n, (SELECT d.ctid "
				"FROM event_engine.deliveries AS d "
				"WHERE d.subscription_number = $1 AND d.partition_key = k.key COLLATE pg_catalog.\"C\" "
				"ORDER BY d.seq LIMIT 1) AS row "
				"FROM pg_catalog.unnest($2) WITH ORDINALITY AS k (key, n)), "
				"promoted AS (UPDATE event_engine.deliveries AS d "
				"SET status = 'retry', next_attempt_at = pg_catalog.clock_timestamp() "
				"WHERE d.ctid = ANY (ARRAY(SELECT f.row FROM first AS f)) "
				"AND d.status = 'parked') "
				"SELECT f.n::pg_catalog.int4 FROM first AS f WHERE f.row IS NULL",
				"int4", "text[]");
	EePlanFrame frame;
	EeIdentity	saved;
	Datum		values[2];
	uint64		n_free;

	if (n == 0)
		return;
	ee_retry_note_due(delivery, GetCurrentTimestamp());
	values[0] = Int32GetDatum(delivery->subscription->number);
	values[1] = key_array(keys, n);
	ee_identity_engine(&saved);
	ee_plan_begin(&frame);
	ee_plan_by_index(&frame);
	n_free = ee_plan_execute(&advance, values, NULL, false, 0);
	for (uint64 i = 0; i < n_free; i++)
	{
		bool		isnull;
		Datum		which = ee_plan_value(i, 1, &isnull);

		ee_order_free(delivery, keys[DatumGetInt32(which) - 1]);
	}
	ee_plan_end(&frame);
	ee_identity_restore(&saved);
}
