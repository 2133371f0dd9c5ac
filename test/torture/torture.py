#!/usr/bin/python3
"""Publishes, delivers, pulls and administers while everything is killed,
stopped, promoted and restored, by a plan that a seed makes; and proves after
each round that nothing was lost, done twice, or out of order.

    torture.py --bin DIR --place DIR --seconds N [--seed S] [--first ROUND]
               [--rounds N] [--variant NAME] [--calm] [--verbose]

A round is: clients at work and accidents; the clients stop; what is left is
delivered; the checks; dead letters are redriven; the checks again.
"""

import argparse
import glob
import multiprocessing
import os
import random
import shutil
import signal
import sys
import time
import traceback

import checks
import clients
import workflows
from cluster import Cluster, DATABASE
from memory import Memory
from plan import LIFE, POINTS, VARIANTS, Plan

HERE = os.path.dirname(os.path.abspath(__file__))
DRAIN_SECONDS = 600


class Torture:
    def __init__(self, options):
        self.options = options
        self.seed = options.seed
        self.place = options.place
        self.cluster = None
        self.standby = None
        self.servers = 0
        self.log = checks.LogWatch()
        self.violations = []
        self.processes = []
        self.totals = {'rounds': 0, 'accidents': 0, 'events': 0, 'transactions': 0, 'deliveries': 0,
                       'letters': 0, 'unknown': 0, 'bells': 0, 'workflows': 0, 'steps': 0}
        self.accidents = {}
        self.memory = Memory(self)
        self.begun = time.time()

    def say(self, text):
        print('%7.1f  %s' % (time.time() - self.begun, text), flush=True)

    def violation(self, text):
        self.violations.append(text)
        self.say('VIOLATION: ' + text)

    # --------------------------------------------------------------- servers

    def new_cluster(self, name):
        self.servers += 1
        return Cluster(self.options.bin, self.place, '%s%d' % (name, self.servers), 50000 + self.servers)

    def new_server(self):
        if self.cluster:
            self.read_log()
            self.cluster.remove()
        cluster = self.new_cluster('server')
        cluster.make()
        if self.options.steady:
            cluster.set(event_engine__worker_idle_timeout='1h')
        cluster.start()
        cluster.query('CREATE DATABASE ' + DATABASE, database='postgres')
        cluster.query('CREATE EXTENSION event_engine')
        for name in ('workload.sql', 'workflows.sql'):
            with open(os.path.join(HERE, name)) as f:
                cluster.query(f.read())
        self.use(cluster)

    def use(self, cluster):
        self.cluster = cluster
        with open(os.path.join(self.place, 'where.new'), 'w') as f:
            f.write('%s %d' % (cluster.socket, cluster.port))
        os.rename(os.path.join(self.place, 'where.new'), os.path.join(self.place, 'where'))

    def read_log(self):
        for line in self.log.read(self.cluster.new_log()):
            self.violation(line)

    # --------------------------------------------------------------- clients

    def spawn(self, kind, number, round_number):
        client = kind(self.place, round_number, number, '%s/%d/%d' % (self.seed, round_number, len(self.processes)))
        process = multiprocessing.Process(target=self.client_main, args=(client,), daemon=True)
        process.start()
        self.processes.append((kind, number, process))

    @staticmethod
    def client_main(client):
        # libpq writes there what the server says on its way down
        errors = os.open(os.path.join(client.place, 'clients.log'), os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        os.dup2(errors, 2)
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        os.nice(2)
        client.run()

    def flag(self, name, up=True):
        path = os.path.join(self.place, name)
        if up:
            open(path, 'w').close()
        elif os.path.exists(path):
            os.remove(path)

    def start_clients(self, plan):
        for name in ('stop', 'stop-pulling', 'stop-all'):
            self.flag(name, False)
        self.flag('steady', self.options.steady)
        for path in glob.glob(os.path.join(self.place, 'journal', '*')):
            os.remove(path)
        self.processes = []
        for kind, count in ((clients.Publisher, plan.publishers), (clients.Puller, plan.pullers),
                            (clients.Administrator, plan.administrators), (clients.Listener, 1),
                            (workflows.Conductor, plan.conductors)):
            for number in range(count):
                self.spawn(kind, number, plan.number)

    def join_clients(self, kinds, seconds):
        end = time.time() + seconds
        for kind, number, process in self.processes:
            if kind not in kinds:
                continue
            process.join(max(0.1, end - time.time()))
            if process.is_alive():
                self.violation('client %s %d does not end' % (kind.__name__, number))
                process.kill()
                process.join()
            elif process.exitcode not in (0, -signal.SIGKILL):
                self.violation('client %s %d died, see clients.log: %s' % (kind.__name__, number, process.exitcode))

    # ------------------------------------------------------------- accidents

    def accident(self, plan, what):
        cluster = self.cluster
        name = ' '.join(map(str, what))
        if self.options.verbose:
            self.say('  ' + name)
        hit = True
        if what[0] == 'signal':
            hit = self.send(cluster.processes(what[1]), what[2])
        elif what[0] == 'client':
            hit = self.kill_client(plan, what[1])
        elif what[0] == 'stop':
            cluster.stop(what[1])
            cluster.start()
        elif what[0] == 'postmaster':
            cluster.kill_postmaster()
            cluster.start()
        elif what[0] == 'pressure':
            cluster.set(event_engine__store_max_queue_depth=what[1], event_engine__store_backpressure='delay')
            time.sleep(1.5)
            cluster.set(event_engine__store_max_queue_depth=None, event_engine__store_backpressure=None)
        elif what[0] == 'point':
            cluster.set(event_engine__debug_point='%s:%s@%d' % what[1:])
            time.sleep(1.5)
            cluster.set(event_engine__debug_point=None)
        if hit:
            kind = ' '.join(what[:2] if what[0] == 'point' else map(str, what))
            self.accidents[kind] = self.accidents.get(kind, 0) + 1
            self.totals['accidents'] += 1

    def send(self, pids, name):
        if not pids:
            return False
        pid = random.choice(pids)
        try:
            os.kill(pid, getattr(signal, 'SIG' + name))
            if name == 'STOP':
                time.sleep(1)
                os.kill(pid, signal.SIGCONT)
        except ProcessLookupError:
            return False
        return True

    def kill_client(self, plan, kind):
        of_kind = [i for i, (k, _, p) in enumerate(self.processes)
                   if k.__name__.lower() == kind and p.is_alive()]
        if not of_kind:
            return False
        kind, number, process = self.processes[random.choice(of_kind)]
        process.kill()
        process.join()
        self.spawn(kind, number, plan.number)
        return True

    # -------------------------------------------------------------- variants

    def before_clients(self, plan):
        if plan.variant != 'standby':
            return
        self.standby = self.new_cluster('standby')
        self.standby.follow(self.cluster)
        self.standby.start()
        self.cluster.set(synchronous_standby_names='*')
        self.wait("SELECT count(*) FROM pg_stat_replication WHERE sync_state = 'sync'",
                  lambda rows: rows[0][0] == 1, 60, 'the standby follows')

    def halfway(self, plan):
        if plan.variant != 'standby':
            return
        if plan.number % 2:
            self.cluster.stop('immediate')
        else:
            self.cluster.kill_postmaster()
        self.standby.promote()
        old = self.cluster
        self.read_log()
        self.use(self.standby)
        self.standby = None
        old.remove()

    def after_publishers(self, plan):
        """Into a new server, with a backlog, beside handlers and pulling clients."""
        if plan.variant != 'restore':
            return
        path = os.path.join(self.place, 'dump')
        globals_path = os.path.join(self.place, 'globals.sql')
        source = self.cluster
        source.run('pg_dumpall', '-h', source.socket, '-p', str(source.port), '-U', 'postgres',
                   '--globals-only', '-f', globals_path)
        source.dump(path)
        source.stop('immediate')
        target = self.new_cluster('server')
        target.make()
        target.set(event_engine__delivery_enabled='off')
        target.start()
        # of the roles, the one that initdb has made is there already
        target.run('sed', '-i', '/ROLE postgres/d', globals_path)
        target.run('psql', '-X', '-q', '-h', target.socket, '-p', str(target.port), '-U', 'postgres',
                   '-d', 'postgres', '-f', globals_path)
        target.query('CREATE DATABASE ' + DATABASE, database='postgres')
        target.restore(path)
        os.remove(path)
        self.read_log()
        self.use(target)
        target.set(event_engine__delivery_enabled=None)
        source.remove()

    def hold_snapshot(self, held):
        try:
            if held is None or held.closed:
                held = self.cluster.connect()
                with held.cursor() as cursor:
                    cursor.execute('BEGIN ISOLATION LEVEL REPEATABLE READ')
            with held.cursor() as cursor:
                cursor.execute('SELECT 1')
            return held
        except Exception:
            try:
                held.close()
            except Exception:
                pass
            return None

    # ---------------------------------------------------------------- rounds

    def round(self, plan):
        self.say('round %d: %s' % (plan.number, plan))
        random.seed('%s/victims/%d' % (self.seed, plan.number))
        self.before_clients(plan)
        self.start_clients(plan)
        begun = time.time()
        held = None
        halfway = False
        for at, what in plan.accidents + [(plan.seconds, None)]:
            while time.time() - begun < at:
                if plan.variant == 'snapshot':
                    held = self.hold_snapshot(held)
                if not halfway and time.time() - begun > plan.seconds / 2:
                    halfway = True
                    self.halfway(plan)
                time.sleep(0.05)
            if what is not None:
                self.accident(plan, what)
        self.flag('stop')
        self.flag('stop-pulling')
        self.cluster.wait_ready()
        self.join_clients((clients.Publisher, clients.Administrator, workflows.Conductor), 400)
        self.resolve_prepared(plan)
        self.resume_all()
        self.cluster.query(workflows.STOP)
        self.after_publishers(plan)
        good = self.drain(plan)
        self.check_bell()
        self.check(plan, 'after the accidents')
        if good:
            self.redrive(plan)
        self.flag('stop-all')
        self.join_clients((clients.Puller, clients.Listener), 400)
        if held is not None:
            held.close()
        if not self.options.steady:
            self.check_workers()
        self.cluster.query(checks.FORGET)
        self.cluster.query(workflows.FORGET)
        self.totals['rounds'] += 1

    def resolve_prepared(self, plan):
        rng = random.Random('%s/prepared/%d' % (self.seed, plan.number))
        for (gid,) in self.cluster.query('SELECT gid FROM pg_prepared_xacts ORDER BY gid'):
            self.cluster.query("%s PREPARED '%s'" % (rng.choice(['COMMIT', 'ROLLBACK']), gid))

    def resume_all(self):
        self.cluster.query("SELECT event_engine.resume_subscription(subscriber) FROM event_engine.subscriptions"
                           " WHERE status = 'paused'")

    def drain(self, plan):
        end = time.time() + DRAIN_SECONDS
        while True:
            begun = time.time()
            self.cluster.query(workflows.CANCEL)
            left = checks.pending(self.cluster, plan.number)
            if self.options.verbose and left:
                self.say('  left (%.1f s to find out): %s' % (
                    time.time() - begun, ', '.join('%s: %d' % row for row in left)))
            if not left:
                return True
            if time.time() > end:
                self.violation('stuck: ' + ', '.join('%s: %d' % row for row in left))
                for row in self.cluster.query('SELECT pid, backend_type, usename, state, wait_event_type, wait_event,'
                                              " left(query, 60) FROM pg_stat_activity WHERE datname = '%s'" % DATABASE):
                    self.say('  %s' % (row,))
                return False
            time.sleep(2)

    def check_bell(self):
        heard = os.path.join(self.place, 'heard')
        if os.path.exists(heard):
            os.remove(heard)
        end = time.time() + 200
        while not os.path.exists(heard):
            self.cluster.query("SELECT event_engine.publish_event('bell.ring', '{}')")
            if time.time() > end:
                self.violation('the bell does not ring')
                return
            time.sleep(0.5)

    def check(self, plan, when):
        for text in checks.check_tables(self.cluster, plan.number):
            self.violation('round %d, %s: %s' % (plan.number, when, text))
        found, counts = checks.check_journals(self.cluster, self.place, plan.number)
        for text in found if when == 'after the accidents' else []:
            self.violation('round %d, %s: %s' % (plan.number, when, text))
        self.read_log()
        deliveries = self.cluster.query('SELECT count(*) FROM torture.effect')[0][0]
        letters = self.cluster.query("SELECT count(*) FROM event_engine.event_dead_letters"
                                     " WHERE (payload ->> 'r')::int = %d" % plan.number)[0][0]
        flows = self.cluster.query(workflows.COUNTS)[0]
        if when == 'after the accidents':
            for name in ('events', 'transactions', 'unknown', 'bells'):
                self.totals[name] += counts[name]
        else:
            self.totals['deliveries'] += deliveries
            self.totals['letters'] += letters
            self.totals['workflows'] += flows[0]
            self.totals['steps'] += flows[1]
        self.say('  %s: %d events in %d transactions (%d unknown), %d effects, %d letters' % (
            when, counts['events'], counts['transactions'], counts['unknown'], deliveries, letters))
        self.say('  workflows: %d, %d steps, %d compensations, %d time-outs, %d cancelled, %d met from outside' % flows)

    def redrive(self, plan):
        """The cause is mended: what was given up has its effect, once."""
        self.cluster.query('INSERT INTO torture.mended VALUES (now())')
        self.cluster.query("SELECT event_engine.redrive_dead_letters(subscriber => s) FROM (SELECT DISTINCT subscriber AS s"
                           " FROM event_engine.event_dead_letters WHERE status = 'dead' AND subscriber NOT LIKE 'joined%') x")
        self.cluster.query(workflows.RESUME)
        self.drain(plan)
        self.check(plan, 'after redriving')

    def check_workers(self):
        """No slot without a process, and idle workers leave."""
        self.wait("SELECT w.kind, w.role, w.pid, w.state FROM event_engine.stat_workers w"
                  " WHERE w.kind = 'executor' OR w.pid IS NULL"
                  " OR w.pid NOT IN (SELECT pid FROM pg_stat_activity)",
                  lambda rows: not rows, 200, 'idle executors end and leave no slot behind')
        self.wait("SELECT count(*) FROM pg_stat_activity WHERE backend_type LIKE 'event_engine %'",
                  lambda rows: rows[0][0] == 2, 200, 'a launcher and a router are there')

    def wait(self, sql, good, seconds, what):
        end = time.time() + seconds
        while True:
            rows = self.cluster.query(sql)
            if good(rows):
                return True
            if time.time() > end:
                self.violation('not so: %s: %s' % (what, rows[:5]))
                return False
            time.sleep(0.2)

    def run(self):
        options = self.options
        number = options.first
        self.memory.start()
        self.say('seed %s' % self.seed)
        end = self.begun + options.seconds
        while time.time() < end and (not options.rounds or number < options.first + options.rounds):
            if self.cluster is None or (number % LIFE == 1 and not options.steady):
                self.new_server()
            known = len(self.violations)
            self.round(Plan(self.seed, number, options.variant, options.calm, options.round_seconds,
                            options.steady, not options.no_points))
            if len(self.violations) > known:
                self.keep_evidence(number)
                if not options.go_on:
                    break
            number += 1
        if self.cluster:
            self.cluster.stop('fast')
            self.read_log()

    def keep_evidence(self, number):
        """The server as it is, its log and the journals; the next round has a new one."""
        where = os.path.join(self.place, 'evidence-%d' % number)
        os.makedirs(where)
        self.cluster.stop('fast')
        for path in (self.cluster.data, self.cluster.log, os.path.join(self.place, 'journal')):
            if os.path.exists(path):
                shutil.move(path, where)
        os.makedirs(os.path.join(self.place, 'journal'))
        self.cluster = None
        self.say('  what there is to look at is in ' + where)

    def memory_of_each(self):
        """Of each worker that has lived for five minutes: by tenths of its life."""
        workers = {}
        for at, kind, pid, size in self.memory.samples:
            workers.setdefault((kind, pid), []).append((at, size))
        for (kind, pid), samples in sorted(workers.items()):
            if samples[-1][0] - samples[0][0] < 300 or len(samples) < 10:
                continue
            tenth = len(samples) / 10
            self.say('memory of %s %d over %d s, kB: %s' % (
                kind, pid, samples[-1][0] - samples[0][0],
                ' '.join(str(max(size for _, size in samples[int(i * tenth):int((i + 1) * tenth)]))
                         for i in range(10))))

    def summary(self):
        for kind in sorted(self.memory.seen):
            self.say('memory of %ss: %d to %d kB private' % ((kind,) + self.memory.seen[kind]))
        self.memory_of_each()
        for text, count in sorted(self.accidents.items()):
            self.say('accident %s: %d' % (text, count))
        for name in POINTS:
            self.say('debug point %s: hit %d times' % (name, self.log.points.get(name, 0)))
        for text, count in sorted(self.log.warnings.items(), key=lambda w: -w[1])[:20]:
            self.say('warning, %d times: %s' % (count, text[:150]))
        print('torture: seed %s, %d s, %d rounds, %d accidents, %d events in %d transactions, %d effects,'
              ' %d dead letters, %d workflows, %d steps: %s' % (
                  self.seed, time.time() - self.begun, self.totals['rounds'], self.totals['accidents'],
                  self.totals['events'], self.totals['transactions'], self.totals['deliveries'],
                  self.totals['letters'], self.totals['workflows'], self.totals['steps'],
                  '%d VIOLATIONS' % len(self.violations) if self.violations else 'no violation'), flush=True)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument('--bin', required=True)
    parser.add_argument('--place', required=True)
    parser.add_argument('--seconds', type=int, default=600)
    parser.add_argument('--seed', default=str(random.SystemRandom().randrange(10 ** 6)))
    parser.add_argument('--first', type=int, default=1)
    parser.add_argument('--rounds', type=int, default=0)
    parser.add_argument('--round-seconds', type=float)
    parser.add_argument('--variant', choices=VARIANTS)
    parser.add_argument('--calm', action='store_true', help='no accidents')
    parser.add_argument('--steady', action='store_true',
                        help='no accidents, one server and its workers all the time: is memory flat?')
    parser.add_argument('--no-points', action='store_true', help='not built with DEBUG=1')
    parser.add_argument('--go-on', action='store_true')
    parser.add_argument('--verbose', action='store_true')
    options = parser.parse_args()
    if options.steady:
        options.calm, options.variant = True, 'plain'
    os.makedirs(os.path.join(options.place, 'journal'), exist_ok=True)
    torture = Torture(options)
    # started in the background SIGINT is ignored, and a summary is wanted
    for name in (signal.SIGTERM, signal.SIGINT):
        signal.signal(name, signal.default_int_handler)
    failed = False
    try:
        torture.run()
    except Exception as failure:
        traceback.print_exc()
        torture.violation('the harness failed: %s' % failure)
    except KeyboardInterrupt:
        torture.say('interrupted')
        failed = True
    finally:
        for _, _, process in torture.processes:
            if process.is_alive():
                process.kill()
        torture.summary()
        for cluster in (torture.cluster, torture.standby):
            if cluster:
                cluster.remove()
    sys.exit(1 if torture.violations or failed else 0)


if __name__ == '__main__':
    main()
