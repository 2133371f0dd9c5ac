"""Measures the figures on the server that PGHOST and PGPORT name.

    python3 test/bench/run.py [--only publish,consume,fanout,latency,failures,due,urgent,rates,retries,snapshot,workflows,waits,
                                 equality,rights]
        [--thorough] [--seconds 120] [--pgq]
"""
import argparse
import os
import sys
import time

import consume
import due
import equality
import failures
import fanout
import latency
import publish
import rates
import retries
import rights
import snapshot
import urgent
import waits
import workflows
from common import Report, connect, flush_ms, run, run_file, value

FIGURES = {'publish': publish, 'consume': consume, 'fanout': fanout,
           'latency': latency, 'failures': failures, 'due': due,
           'urgent': urgent, 'rates': rates, 'retries': retries,
           'snapshot': snapshot, 'workflows': workflows, 'waits': waits,
           'equality': equality, 'rights': rights}


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument('--only', default=','.join(FIGURES))
    parser.add_argument('--thorough', action='store_true')
    parser.add_argument('--seconds', type=int, default=30)
    parser.add_argument('--pgq', action='store_true')
    options = parser.parse_args()
    chosen = options.only.replace(',', ' ').split()
    for name in chosen:
        if name not in FIGURES:
            sys.exit('error: there is no figure "%s"; there are %s' %
                     (name, ', '.join(FIGURES)))

    report = Report()
    admin = connect('postgres')
    print('   %s, %d cores, load %.1f' %
          (value(admin, 'SELECT version()').split(' on ')[0], os.cpu_count(),
           os.getloadavg()[0]))
    for name in chosen:
        begun = time.monotonic()
        print('\n== ' + name, flush=True)
        # each on a log of its own
        run(admin, 'DROP DATABASE IF EXISTS bench')
        run(admin, 'CREATE DATABASE bench')
        connection = connect()
        run_file(connection, 'setup.sql')
        connection.close()
        flush = flush_ms(admin)
        FIGURES[name].figures(report, options)
        report.note('in %.0f s; load %.1f, a commit took %.2f ms before and'
                    ' %.2f ms after' %
                    (time.monotonic() - begun, os.getloadavg()[0], flush,
                     flush_ms(admin)))
    report.table()


if __name__ == '__main__':
    main()
