/*
 * compat.h
 *	  Every branch on the server's version, and no other file has one.
 *
 * Calls are written in the newest form; older servers get a shim here.
 */
#ifndef EE_COMPAT_H
#define EE_COMPAT_H

#include "postgres.h"

#include "catalog/pg_database.h"
#include "catalog/pg_extension.h"
#include "catalog/pg_proc.h"
#include "fmgr.h"
#include "miscadmin.h"
#if PG_VERSION_NUM >= 160000
#include "varatt.h"
#endif
#include "parser/parse_type.h"

#if PG_VERSION_NUM < 150000
#error "event_engine needs PostgreSQL 15 or newer"
#endif

#if PG_VERSION_NUM < 160000
/* the server declares it from 16 on */
extern PGDLLEXPORT void _PG_init(void);
#endif

#if PG_VERSION_NUM >= 180000
#define EE_MODULE_MAGIC(nm, vers) \
	PG_MODULE_MAGIC_EXT(.name = nm, .version = vers)
#else
#define EE_MODULE_MAGIC(nm, vers) PG_MODULE_MAGIC
#endif

/* stands in front of a declaration from 18 on, instead of behind it */
#if PG_VERSION_NUM < 180000
#define pg_noreturn __attribute__((noreturn))
#endif

/* a NOLOGIN role can have a process of its own from 17 on */
#if PG_VERSION_NUM >= 170000
#define EE_BYPASS_ROLE_LOGIN_CHECK	BGWORKER_BYPASS_ROLELOGINCHECK
#define EE_NOLOGIN_WORKERS			true
#else
#define EE_BYPASS_ROLE_LOGIN_CHECK	0
#define EE_NOLOGIN_WORKERS			false
#endif

/* the name of a type, as OID and type modifier; raises when there is none */
#if PG_VERSION_NUM >= 160000
#define ee_parse_type(name, oid, typmod) \
	((void) parseTypeString(name, oid, typmod, NULL))
#else
#define ee_parse_type(name, oid, typmod) \
	parseTypeString(name, oid, typmod, false)
#endif

/* rights on objects are asked in one way from 16 on */
#if PG_VERSION_NUM >= 160000
#define ee_proc_aclcheck(oid, role) \
	object_aclcheck(ProcedureRelationId, oid, role, ACL_EXECUTE)
#define ee_owns_database(oid, role) \
	object_ownercheck(DatabaseRelationId, oid, role)
#define ee_owns_extension(oid, role) \
	object_ownercheck(ExtensionRelationId, oid, role)
#else
#define ee_owns_database(oid, role) pg_database_ownercheck(oid, role)
#define ee_owns_extension(oid, role) pg_extension_ownercheck(oid, role)
#define ee_proc_aclcheck(oid, role) pg_proc_aclcheck(oid, role, ACL_EXECUTE)
#endif

/* also in a stronger mode, if asked, from 17 on */
#if PG_VERSION_NUM >= 170000
#define ee_lock_held_by_me(tag, mode)	LockHeldByMe(tag, mode, false)
#else
#define ee_lock_held_by_me(tag, mode)	LockHeldByMe(tag, mode)
#endif

/* wait events have names of their own from 17 on */
#if PG_VERSION_NUM >= 170000
#define ee_wait_event_new(name)	WaitEventExtensionNew(name)
#else
#define ee_wait_event_new(name) ((void) (name), (uint32) PG_WAIT_EXTENSION)
#endif

#if PG_VERSION_NUM >= 170000
#define EE_HAVE_TRANSACTION_TIMEOUT 1
#endif

/* number of this process in ProcGlobal->allProcs */
#if PG_VERSION_NUM >= 170000
#define EE_MY_PROCNO	((uint32) MyProcNumber)
#else
#define EE_MY_PROCNO	((uint32) MyProc->pgprocno)
#endif

/* insertion tells summarizing indexes apart from 16 on */
#if PG_VERSION_NUM >= 160000
#define ee_insert_index_tuples(target, slot, estate) \
	ExecInsertIndexTuples(target, slot, estate, false, false, NULL, NIL, false)
#else
#define ee_insert_index_tuples(target, slot, estate) \
	ExecInsertIndexTuples(target, slot, estate, false, false, NULL, NIL)
#endif

/* an update tells which indexes need the new version from 16 on */
#if PG_VERSION_NUM >= 160000
#define ee_update_tuple(rel, tid, slot, target, estate) \
	do { \
		TU_UpdateIndexes which_; \
		simple_table_tuple_update(rel, tid, slot, InvalidSnapshot, &which_); \
		if (which_ != TU_None) \
			ExecInsertIndexTuples(target, slot, estate, true, false, NULL, \
								  NIL, which_ == TU_Summarizing); \
	} while (0)
#else
#define ee_update_tuple(rel, tid, slot, target, estate) \
	do { \
		bool		all_; \
		simple_table_tuple_update(rel, tid, slot, InvalidSnapshot, &all_); \
		if (all_) \
			ExecInsertIndexTuples(target, slot, estate, true, false, NULL, \
								  NIL); \
	} while (0)
#endif

/* whether the constraint is deferrable is asked from 18 on */
#if PG_VERSION_NUM >= 180000
#define ee_primary_key_index(rel) RelationGetPrimaryKeyIndex(rel, false)
#else
#define ee_primary_key_index(rel) RelationGetPrimaryKeyIndex(rel)
#endif

/* index_beginscan counts instrumentation from 18 on */
#if PG_VERSION_NUM >= 180000
#define ee_index_beginscan(heap, index, snapshot, nkeys, norderbys) \
	index_beginscan(heap, index, snapshot, NULL, nkeys, norderbys)
#else
#define ee_index_beginscan(heap, index, snapshot, nkeys, norderbys) \
	index_beginscan(heap, index, snapshot, nkeys, norderbys)
#endif

/* "schema.name" as a list; raises when it is not one */
#if PG_VERSION_NUM >= 160000
#define ee_qualified_name(string)	stringToQualifiedNameList(string, NULL)
#else
#define ee_qualified_name(string)	stringToQualifiedNameList(string)
#endif

/* a lexer of its own making, or one that is given to it */
#if PG_VERSION_NUM >= 170000
#define EE_MAKE_JSON_LEX_CONTEXT(json, len, encoding, escapes) \
	makeJsonLexContextCstringLen(NULL, json, len, encoding, escapes)
#else
#define EE_MAKE_JSON_LEX_CONTEXT(json, len, encoding, escapes) \
	makeJsonLexContextCstringLen(json, len, encoding, escapes)
#endif

#endif							/* EE_COMPAT_H */
