/*
 * schema_vocabulary.h
 *	  Which keywords there are, in which dialect and vocabulary, and where
 *	  they hold subschemas.
 */
#ifndef EE_SCHEMA_VOCABULARY_H
#define EE_SCHEMA_VOCABULARY_H

#include "postgres.h"

typedef enum EeDialect
{
	EE_DIALECT_DRAFT4,
	EE_DIALECT_DRAFT6,
	EE_DIALECT_DRAFT7,
	EE_DIALECT_2019_09,
	EE_DIALECT_2020_12,
	EE_DIALECT_V1,
} EeDialect;

#define EE_DIALECTS		(EE_DIALECT_V1 + 1)

/* vocabularies, as bits of a set */
#define EE_VOCAB_CORE			0x01
#define EE_VOCAB_APPLICATOR		0x02
#define EE_VOCAB_UNEVALUATED	0x04
#define EE_VOCAB_VALIDATION		0x08
#define EE_VOCAB_META_DATA		0x10
#define EE_VOCAB_FORMAT			0x20
#define EE_VOCAB_CONTENT		0x40
#define EE_VOCAB_FORMAT_ASSERTION 0x80
#define EE_VOCAB_ALL			0x7F

/* what a keyword's value holds */
typedef enum EeKeywordShape
{
	EE_SHAPE_PLAIN,				/* no schema */
	EE_SHAPE_SCHEMA,			/* a schema */
	EE_SHAPE_ARRAY,				/* an array of schemas */
	EE_SHAPE_SCHEMA_OR_ARRAY,	/* items before 2020-12 */
	EE_SHAPE_MAP,				/* an object whose values are schemas */
	EE_SHAPE_MAP_OR_NAMES,		/* dependencies: schemas or arrays */
	EE_SHAPE_MAP_OF_MAPS,		/* propertyDependencies */
} EeKeywordShape;

typedef enum EeKeyword
{
	EE_KW_ADDITIONAL_ITEMS,
	EE_KW_ADDITIONAL_PROPERTIES,
	EE_KW_ALL_OF,
	EE_KW_ANCHOR,
	EE_KW_ANY_OF,
	EE_KW_CONST,
	EE_KW_CONTAINS,
	EE_KW_CONTENT_ENCODING,
	EE_KW_CONTENT_MEDIA_TYPE,
	EE_KW_CONTENT_SCHEMA,
	EE_KW_DEFINITIONS,
	EE_KW_DEFS,
	EE_KW_DEPENDENCIES,
	EE_KW_DEPENDENT_REQUIRED,
	EE_KW_DEPENDENT_SCHEMAS,
	EE_KW_DYNAMIC_ANCHOR,
	EE_KW_DYNAMIC_REF,
	EE_KW_ELSE,
	EE_KW_ENUM,
	EE_KW_EXCLUSIVE_MAXIMUM,
	EE_KW_EXCLUSIVE_MINIMUM,
	EE_KW_FORMAT,
	EE_KW_ID,
	EE_KW_IF,
	EE_KW_ITEMS,
	EE_KW_MAX_CONTAINS,
	EE_KW_MAX_ITEMS,
	EE_KW_MAX_LENGTH,
	EE_KW_MAX_PROPERTIES,
	EE_KW_MAXIMUM,
	EE_KW_MIN_CONTAINS,
	EE_KW_MIN_ITEMS,
	EE_KW_MIN_LENGTH,
	EE_KW_MIN_PROPERTIES,
	EE_KW_MINIMUM,
	EE_KW_MULTIPLE_OF,
	EE_KW_NOT,
	EE_KW_ONE_OF,
	EE_KW_PATTERN,
	EE_KW_PATTERN_PROPERTIES,
	EE_KW_PREFIX_ITEMS,
	EE_KW_PROPERTIES,
	EE_KW_PROPERTY_DEPENDENCIES,
	EE_KW_PROPERTY_NAMES,
	EE_KW_RECURSIVE_ANCHOR,
	EE_KW_RECURSIVE_REF,
	EE_KW_REF,
	EE_KW_REQUIRED,
	EE_KW_SCHEMA,
	EE_KW_THEN,
	EE_KW_TYPE,
	EE_KW_UNEVALUATED_ITEMS,
	EE_KW_UNEVALUATED_PROPERTIES,
	EE_KW_UNIQUE_ITEMS,
	EE_KW_VOCABULARY,
	EE_KW_COUNT
} EeKeyword;

typedef struct EeKeywordInfo
{
	const char *name;
	EeKeyword	keyword;
	uint8		dialects;		/* bits 1 << EeDialect */
	uint8		vocabulary;
	EeKeywordShape shape;
} EeKeywordInfo;

extern const EeKeywordInfo *ee_schema_keyword(EeDialect dialect,
											  uint32 vocabularies,
											  const char *name, uint32 len);
extern const char *ee_schema_keyword_name(EeDialect dialect, int n);
extern bool ee_schema_dialect_of_uri(const char *uri, EeDialect *dialect);
extern bool ee_schema_dialect_of_name(const char *name, EeDialect *dialect);
extern const char *ee_schema_dialect_uri(EeDialect dialect);
extern const char *ee_schema_dialect_name(EeDialect dialect);
extern uint32 ee_schema_vocabulary_of_uri(const char *uri, uint32 len);

#endif							/* EE_SCHEMA_VOCABULARY_H */
