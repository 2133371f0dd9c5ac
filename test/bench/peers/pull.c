/*
 * pull.c
 *	  A client that pulls, in C, so that what is measured is the queue and not
 *	  the language of the client.
 *
 *		pull DATABASE FORMAT COUNTED STATEMENT...
 *
 * The statements are run in order, again and again, until the first has given
 * no row, or null, EMPTY_ROUNDS times in a row: once may mean that another
 * client was at it.  What it gives in the first column of the first row is $1 of
 * the others.  Rows are those of the statement of number COUNTED (from 0),
 * each of whose values is looked at, in text (FORMAT 0) or binary (1).
 * Prints the rows, the seconds until the last of them, the bytes received and the CPU seconds of the
 * client.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <libpq-fe.h>

#define MAX_STATEMENTS	4
#define EMPTY_ROUNDS	20
#define EMPTY_PAUSE_NSECS	1000000

static double
now(clockid_t clock)
{
	struct timespec at;

	clock_gettime(clock, &at);
	return at.tv_sec + at.tv_nsec / 1e9;
}

static PGresult *
checked(PGconn *connection, PGresult *result, ExecStatusType status)
{
	if (PQresultStatus(result) != status)
	{
		fprintf(stderr, "%s", PQerrorMessage(connection));
		exit(1);
	}
	return result;
}

int
main(int argc, char **argv)
{
	const char *keywords[] = {"dbname", NULL};
	const char *values[] = {argc > 1 ? argv[1] : NULL, NULL};
	int			n_statements = argc - 4;
	char		given[128] = "";
	long		rows = 0;
	long		bytes = 0;
	volatile char look = 0;
	int			format;
	int			counted;
	int			empty = 0;
	double		began;
	double		ended;
	PGconn	   *connection;

	if (n_statements < 1 || n_statements > MAX_STATEMENTS)
		return 2;
	format = atoi(argv[2]);
	counted = atoi(argv[3]);
	connection = PQconnectdbParams(keywords, values, 0);
	for (int i = 0; i < n_statements; i++)
	{
		char		name[2] = {(char) ('a' + i), 0};

		PQclear(checked(connection,
						PQprepare(connection, name, argv[4 + i], 0, NULL),
						PGRES_COMMAND_OK));
	}
	began = ended = now(CLOCK_MONOTONIC);
	while (empty < EMPTY_ROUNDS)
	{
		empty++;
		for (int i = 0; i < n_statements; i++)
		{
			char		name[2] = {(char) ('a' + i), 0};
			const char *params[] = {given};
			PGresult   *result;

			/* the first is small, or its first column is text */
			result = checked(connection,
							 PQexecPrepared(connection, name, i > 0, params,
											NULL, NULL,
											i == counted ? format : 0),
							 PGRES_TUPLES_OK);
			if (i == 0)
			{
				if (PQntuples(result) == 0 || PQgetisnull(result, 0, 0))
				{
					const struct timespec pause = {0, EMPTY_PAUSE_NSECS};

					PQclear(result);
					nanosleep(&pause, NULL);
					break;
				}
				empty = 0;
				snprintf(given, sizeof(given), "%s", PQgetvalue(result, 0, 0));
			}
			if (i == counted)
				for (int row = 0; row < PQntuples(result); row++)
				{
					for (int column = 0; column < PQnfields(result); column++)
					{
						look ^= *PQgetvalue(result, row, column);
						bytes += PQgetlength(result, row, column);
					}
					rows++;
				}
			PQclear(result);
			if (i == n_statements - 1)
				ended = now(CLOCK_MONOTONIC);
		}
	}
	printf("%ld %.6f %ld %.6f\n", rows, ended - began, bytes,
		   now(CLOCK_PROCESS_CPUTIME_ID));
	return 0;
}
