/*
 * fuzz_memory.c
 *	  Memory contexts in which every piece comes from malloc.
 *
 * So AddressSanitizer sees the bounds and the end of each: the server's own
 * contexts would hide them in large blocks.  Fresh memory is filled with a byte
 * that the targets change, so that an answer that hangs on what nobody has
 * written differs from one time to the next.
 *
 * Before each piece stands its context, as in the server up to 15.
 */
#include "postgres.h"

#include <sanitizer/asan_interface.h>

#include "lib/ilist.h"
#include "nodes/memnodes.h"
#include "utils/memutils.h"

#include "fuzz.h"

/* more for an input of a few kilobytes is a finding */
#define LIMIT	((Size) 512 * 1024 * 1024)

typedef struct Context
{
	MemoryContextData header;
	dlist_head	pieces;
} Context;

typedef struct Piece
{
	dlist_node	node;
	Size		size;
	MemoryContext context;
} Piece;

#define HIDDEN	(sizeof(Piece) - offsetof(Piece, size))

static unsigned char fill = 0x7E;
static Size allocated = 0;

static void *allocate(MemoryContext context, Size size);
static void release(MemoryContext context, void *pointer);
static void *reallocate(MemoryContext context, void *pointer, Size size);
static void reset(MemoryContext context);
static void delete(MemoryContext context);
static Size space(MemoryContext context, void *pointer);
static bool is_empty(MemoryContext context);
static void stats(MemoryContext context, MemoryStatsPrintFunc print,
				  void *passthru, MemoryContextCounters *totals,
				  bool print_to_stderr);
static Piece *piece_of(void *pointer);
static void hide(Piece *piece);

static const MemoryContextMethods methods = {
	allocate, release, reallocate, reset, delete, space, is_empty, stats
};

/* The sources are compiled to call this where they say AllocSetContextCreate. */
extern MemoryContext ee_fuzz_context_create(MemoryContext parent,
											const char *name,
											Size min_size, Size init_size,
											Size max_size);

MemoryContext
ee_fuzz_context_create(MemoryContext parent, const char *name, Size min_size,
					   Size init_size, Size max_size)
{
	return ee_fuzz_context(parent, name);
}

MemoryContext
ee_fuzz_context(MemoryContext parent, const char *name)
{
	Context    *context = malloc(sizeof(Context));

	dlist_init(&context->pieces);
	/* the server believes only in kinds of its own */
	MemoryContextCreate(&context->header, T_AllocSetContext, &methods, parent,
						name);
	return &context->header;
}

/* What fresh memory holds from now on. */
void
ee_fuzz_fill(unsigned char byte)
{
	fill = byte;
}

Size
ee_fuzz_allocated(void)
{
	return allocated;
}

static void *
allocate(MemoryContext context, Size size)
{
	Piece	   *piece;
	void	   *pointer;

	if (allocated + size > LIMIT)
		ee_fuzz_finding("%zu bytes of memory", allocated + size);
	piece = malloc(sizeof(Piece) + size);
	piece->size = size;
	piece->context = context;
	dlist_push_tail(&((Context *) context)->pieces, &piece->node);
	allocated += size;
	context->mem_allocated += size;
	pointer = piece + 1;
	memset(pointer, fill, size);
	hide(piece);
	return pointer;
}

static void
release(MemoryContext context, void *pointer)
{
	Piece	   *piece = piece_of(pointer);

	allocated -= piece->size;
	context->mem_allocated -= piece->size;
	dlist_delete(&piece->node);
	free(piece);
}

static void *
reallocate(MemoryContext context, void *pointer, Size size)
{
	Size		old = piece_of(pointer)->size;
	void	   *result = allocate(context, size);

	memcpy(result, pointer, Min(old, size));
	release(context, pointer);
	return result;
}

static void
reset(MemoryContext context)
{
	dlist_head *pieces = &((Context *) context)->pieces;
	dlist_mutable_iter iter;

	dlist_foreach_modify(iter, pieces)
	{
		Piece	   *piece = piece_of(dlist_container(Piece, node, iter.cur) + 1);

		allocated -= piece->size;
		free(piece);
	}
	dlist_init(pieces);
	context->mem_allocated = 0;
}

static void
delete(MemoryContext context)
{
	reset(context);
	free(context);
}

static Size
space(MemoryContext context, void *pointer)
{
	return piece_of(pointer)->size;
}

static bool
is_empty(MemoryContext context)
{
	return dlist_is_empty(&((Context *) context)->pieces);
}

static void
stats(MemoryContext context, MemoryStatsPrintFunc print, void *passthru,
	  MemoryContextCounters *totals, bool print_to_stderr)
{
}

static Piece *
piece_of(void *pointer)
{
	Piece	   *piece = (Piece *) pointer - 1;

	ASAN_UNPOISON_MEMORY_REGION(&piece->size, HIDDEN);
	return piece;
}

/*
 * What stands right before a piece is nobody's business but the server's,
 * which is not instrumented.
 */
static void
hide(Piece *piece)
{
	ASAN_POISON_MEMORY_REGION(&piece->size, HIDDEN);
}
