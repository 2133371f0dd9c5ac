/*
 * option.h
 *	  Options as a jsonb object: what one of them says.
 */
#ifndef EE_OPTION_H
#define EE_OPTION_H

#include "postgres.h"

#include "utils/jsonb.h"

/* The default where it is not given, or is of another type. */
extern double ee_option_number(Jsonb *options, const char *name,
							   double value);
extern bool ee_option_bool(Jsonb *options, const char *name, bool value);

/* NULL when it is not given; palloc'd. */
extern char *ee_option_text(Jsonb *options, const char *name);
extern bool ee_option_text_is(Jsonb *options, const char *name,
							  const char *value);

/*
 * The first member whose name is not among these (the last one NULL),
 * palloc'd; NULL when there is none.
 */
extern char *ee_option_unknown(JsonbContainer *object,
							   const char *const *names);

#endif							/* EE_OPTION_H */
