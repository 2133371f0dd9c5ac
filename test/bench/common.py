"""What the figures share: connections, the payload, publishers, rounds, the
table."""
import multiprocessing
import os
import re
import statistics
import subprocess
import tempfile
import time

import psycopg2

PATTERN = 'invoice.created'
HERE = os.path.dirname(os.path.abspath(__file__))


def payload(n=0):
    """A document of about 290 bytes."""
    return ('{"n":%d,"invoice_id":"inv_8f14e45fceea167a",'
            '"customer_id":"cus_c9f0f895fb98ab91","amount":129900,'
            '"currency":"EUR","status":"open","due_date":"2025-12-31",'
            '"lines":[{"sku":"PRO-YEARLY","qty":1,"unit":129900}],'
            '"created_by":"user_45c48cce2e2d7fbd","note":"annual plan"}' % n)


def envelopes(texts, key=None):
    """What publish_events takes, of these payloads; key tells the partition
    key of the n-th."""
    return '[%s]' % ','.join(
        '{"pattern":"%s","payload":%s%s}' %
        (PATTERN, x, ',"partitionKey":"%s"' % key(n) if key else '')
        for n, x in enumerate(texts))


def connect(database='bench', autocommit=True):
    connection = psycopg2.connect(dbname=database)
    connection.autocommit = autocommit
    return connection


def run(connection, sql, args=None):
    cursor = connection.cursor()
    cursor.execute(sql, args)
    return cursor.fetchall() if cursor.description else None


def value(connection, sql, args=None):
    return run(connection, sql, args)[0][0]


def run_file(connection, name):
    with open(os.path.join(HERE, name), encoding='utf-8') as file:
        run(connection, file.read())


def wait_until(connection, sql, args=None, timeout=120):
    """Until sql says true; a condition, with a limit for what went wrong."""
    end = time.monotonic() + timeout
    while not value(connection, sql, args):
        if time.monotonic() > end:
            raise TimeoutError('%s %s' % (' '.join(sql.split()), args or ''))
        time.sleep(0.005)


def old_snapshot():
    """A session that holds a snapshot until it is rolled back."""
    connection = connect(autocommit=False)
    connection.set_session(isolation_level='REPEATABLE READ')
    run(connection, 'SELECT count(*) FROM pg_class')
    return connection


def dead_rows(connection):
    """Dead rows of our tables and the partitions of the log."""
    run(connection, 'SELECT pg_stat_clear_snapshot()')
    return dict(run(connection, """
        SELECT relname, n_dead_tup FROM pg_stat_user_tables
        WHERE schemaname = 'event_engine' AND n_dead_tup > 0
        ORDER BY n_dead_tup DESC"""))


class Publishers:
    """Processes that publish so many events a second together, at_once with
    each call; several, so that a slow disk does not keep them below the
    rate."""

    def __init__(self, processes, rate, seconds, at_once=1):
        self.count = multiprocessing.Value('q', 0)
        self.start = time.monotonic() + 0.5
        self.rate = rate / processes
        self.seconds = seconds
        self.at_once = at_once
        self.processes = [multiprocessing.Process(target=self._publish)
                          for _ in range(processes)]
        for process in self.processes:
            process.start()

    def _publish(self):
        connection = connect()
        if self.at_once == 1:
            run(connection, 'PREPARE call(jsonb) AS'
                " SELECT event_engine.publish_event('%s', $1)" % PATTERN)
            sql, document = 'EXECUTE call(%s)', payload()
        else:
            sql = 'SELECT count(*) FROM event_engine.publish_events(%s)'
            document = envelopes(payload(n) for n in range(self.at_once))
        n = 0
        while time.monotonic() < self.start + self.seconds:
            left = self.start + n / self.rate - time.monotonic()
            if left > 0:
                time.sleep(left)
            run(connection, sql, (document,))
            n += self.at_once
            with self.count.get_lock():
                self.count.value += self.at_once

    def finish(self):
        """How many they have published."""
        for process in self.processes:
            process.join()
        return self.count.value


def pgbench(script, clients, seconds, database='bench'):
    """Transactions a second of a prepared script."""
    with tempfile.NamedTemporaryFile('w', suffix='.sql') as file:
        file.write(script)
        file.flush()
        command = ['pgbench', '-n', '-M', 'prepared', '-c', str(clients),
                   '-j', str(min(2, clients)), '-T', str(seconds),
                   '-f', file.name, '-D', 'payload=' + payload(1), database]
        done = subprocess.run(command, capture_output=True, text=True,
                              check=False)
    found = re.search(r'tps = ([\d.]+) \(without', done.stdout)
    if done.returncode != 0 or not found:
        raise RuntimeError(done.stdout + done.stderr)
    return float(found[1])


def flush_ms(connection, n=50):
    """What a commit takes here and now that has little to write."""
    times = []
    for _ in range(n):
        begun = time.perf_counter()
        run(connection, "SELECT pg_logical_emit_message(true, 'bench', '')")
        times.append((time.perf_counter() - begun) * 1000)
    return median(times)


def cpu_seconds(pid):
    """What a process of this machine has used so far."""
    with open('/proc/%d/schedstat' % pid, encoding='ascii') as file:
        return int(file.read().split()[0]) / 1e9


def median(values):
    return statistics.median(values)


def percentile(values, part):
    values = sorted(values)
    return values[min(len(values) - 1, int(len(values) * part))]


def spread(values, form='{:,.0f}'):
    return '%s (%s to %s)' % tuple(
        form.format(x) for x in (median(values), min(values), max(values)))


def alternate(first, second, rounds, warm=True):
    """Runs two measurements by turns, each round the other way round;
    the results of each."""
    results = ([], [])
    pair = (first, second)
    if warm:
        first()
        second()
    for i in range(rounds):
        for which in ((0, 1) if i % 2 == 0 else (1, 0)):
            results[which].append(pair[which]())
    return results


def ratios(ours, theirs):
    """Round by round, so that a slow moment of the machine hits both."""
    return [a / b for a, b in zip(ours, theirs)]


class Report:
    """Lines of the table, printed as they come and again at the end."""

    def __init__(self):
        self.lines = []

    def add(self, figure, target, measured, met):
        self.lines.append((figure, target, measured,
                           '-' if met is None else 'yes' if met else 'NO'))
        self.show(self.lines[-1:])

    def at_least(self, figure, target, measured, form='{:.2f}'):
        self.add(figure, 'at least ' + form.format(target),
                 form.format(measured), measured >= target)

    def at_most(self, figure, target, measured, form='{:.2f}'):
        self.add(figure, 'at most ' + form.format(target),
                 form.format(measured), measured <= target)

    def note(self, text):
        print('      ' + text, flush=True)

    @staticmethod
    def show(lines):
        for line in lines:
            print('   %-58s %-18s %10s  %s' % line, flush=True)

    def table(self):
        print('\n   %-58s %-18s %10s  %s' % ('figure', 'target', 'measured',
                                             'met'))
        print('   ' + '-' * 93)
        self.show(self.lines)
        missed = sum(line[3] == 'NO' for line in self.lines)
        print('\n   %d of %d figures met' %
              (sum(line[3] == 'yes' for line in self.lines),
               missed + sum(line[3] == 'yes' for line in self.lines)))
