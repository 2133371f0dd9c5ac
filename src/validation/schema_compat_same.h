/*
 * schema_compat_same.h
 *	  Do two nodes say the same, word for word?
 */
#ifndef EE_SCHEMA_COMPAT_SAME_H
#define EE_SCHEMA_COMPAT_SAME_H

#include "postgres.h"

#include "validation/schema_compile.h"
#include "validation/schema_program.h"

extern bool ee_compat_same_programs(const EeSchema *a, const EeSchema *b);
extern bool ee_compat_same(const EeSchema *a_program, EeNodeId a,
						   const EeSchema *b_program, EeNodeId b);

#endif							/* EE_SCHEMA_COMPAT_SAME_H */
