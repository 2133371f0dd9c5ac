/*
 * answer.h
 *	  What the handler of a step answers: what becomes of the instance.
 */
#ifndef EE_ANSWER_H
#define EE_ANSWER_H

#include "postgres.h"

#include "nodes/pg_list.h"
#include "utils/jsonb.h"

typedef enum EeAnswerKind
{
	EE_ANSWER_WAIT,				/* until enough of its waits have matched */
	EE_ANSWER_CONTINUE,			/* with another step */
	EE_ANSWER_COMPLETE,
	EE_ANSWER_FAIL
} EeAnswerKind;

typedef struct EeAnswer
{
	EeAnswerKind kind;
	List	   *waits;			/* of EeWaitSpec */
	int			needed;
	char	   *step;			/* name of the next one; NULL: as before */
	Jsonb	   *state;			/* NULL: as before */
	Jsonb	   *output;			/* of complete; NULL: none */
	char	   *message;		/* of fail */
	Jsonb	   *details;		/* likewise; NULL: none */
} EeAnswer;

/*
 * Read what one of the functions wait_for(), complete(), ... has made, into
 * CurrentMemoryContext.  Raises INVALID_ANSWER.
 */
extern EeAnswer *ee_answer_read(Jsonb *answer);

#endif							/* EE_ANSWER_H */
