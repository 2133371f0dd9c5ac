/*
 * schema_eval.h
 *	  Is an instance valid?  The fast answer, yes or no.
 */
#ifndef EE_SCHEMA_EVAL_H
#define EE_SCHEMA_EVAL_H

#include "postgres.h"

#include "utils/jsonb.h"

#include "validation/schema_compile.h"

extern bool ee_schema_eval(const EeSchema *schema, Jsonb *instance);

#endif							/* EE_SCHEMA_EVAL_H */
