/*
 * fuzz.h
 *	  What the targets of the fuzzer share.
 */
#ifndef EE_FUZZ_H
#define EE_FUZZ_H

#include "postgres.h"

#include "utils/jsonb.h"

/* kilobytes; every metaschema fits, and some hundred small schemas */
#define EE_FUZZ_CACHE	4096

/* a step of a target, which may throw */
typedef void (*EeFuzzStep) (void *arg);

/* one input of a target */
typedef void (*EeFuzzTarget) (const char *data, size_t size);

extern void ee_fuzz_schema(const char *data, size_t size);
extern void ee_fuzz_regex(const char *data, size_t size);
extern void ee_fuzz_format(const char *data, size_t size);

extern int	ee_fuzz_try(EeFuzzStep step, void *arg);
extern void ee_fuzz_finding(const char *fmt,...) pg_attribute_printf(1, 2);
extern Jsonb *ee_fuzz_jsonb(const char *text, size_t len);

/* fuzz_memory.c */
extern MemoryContext ee_fuzz_context(MemoryContext parent, const char *name);
extern void ee_fuzz_fill(unsigned char byte);
extern Size ee_fuzz_allocated(void);

/* fuzz_mutate.c */
extern size_t ee_fuzz_mutate_json(unsigned char *data, size_t size,
								  size_t max_size, unsigned int seed);
extern size_t ee_fuzz_cross_json(const unsigned char *one, size_t one_size,
								 const unsigned char *other,
								 size_t other_size, unsigned char *out,
								 size_t max_size, unsigned int seed);

#endif							/* EE_FUZZ_H */
