"""Workflows that wait for an event each: event_engine, Absurd (whose SQL file
--sql may hold) and DBOS Transact, the latter two as libraries for Node."""
import glob
import os
import subprocess
import tempfile
import time

from common import connect, percentile, run, run_file, value, wait_until
from node_peers import NodePeer

# each client has orders of its own, one after the other
PUBLISH = """
\\set n :n + 1
\\set key :client_id * :each + :n
SELECT event_engine.publish_event('order.paid', jsonb_build_object('order', :key::integer));
"""


class Ours:
    name = 'event_engine'

    def create(self):
        run(connect('postgres'), 'DROP DATABASE IF EXISTS bench_workflows')
        run(connect('postgres'), 'CREATE DATABASE bench_workflows')
        self.connection = connect('bench_workflows')
        run_file(self.connection, 'setup.sql')
        run_file(self.connection, 'workflows.sql')
        self.version = value(self.connection, "SELECT extversion FROM"
                             " pg_extension WHERE extname = 'event_engine'")

    def resume(self, instances, publishers):
        each = instances // publishers
        run(self.connection, "SELECT count(event_engine.start_workflow('order',"
            " jsonb_build_object('order', n))) FROM generate_series(0, %s) AS n",
            (each * publishers - 1,))
        wait_until(self.connection, "SELECT NOT EXISTS (SELECT FROM"
                   " event_engine.workflow_instances WHERE status = 'running')")
        run(self.connection, 'VACUUM ANALYZE')
        begun = time.time()
        sent = self.publish(each, publishers)
        wait_until(self.connection, "SELECT NOT EXISTS (SELECT FROM"
                   " event_engine.workflow_waits)")
        rows = run(self.connection, """
            SELECT (i.input ->> 'order')::int,
                extract(epoch FROM s.started_at)::float8,
                extract(epoch FROM s.finished_at)::float8
            FROM event_engine.workflow_steps AS s
            JOIN event_engine.workflow_instances AS i ON i.id = s.instance_id
            WHERE s.step = 'paid'""")
        delays = [(row[1] - sent[row[0]]) * 1000 for row in rows]
        return {'rate': len(rows) / (max(row[2] for row in rows) - begun),
                'p50': percentile(delays, 0.5), 'p99': percentile(delays, 0.99)}

    @staticmethod
    def publish(each, publishers):
        """When the publisher of each order knew that its event is committed."""
        with tempfile.TemporaryDirectory() as folder:
            script = os.path.join(folder, 'publish.sql')
            with open(script, 'w', encoding='utf-8') as file:
                file.write(PUBLISH)
            subprocess.run(['pgbench', '-n', '-M', 'prepared', '-c',
                            str(publishers), '-t', str(each), '-D', 'n=-1',
                            '-D', 'each=%d' % each, '-f', script, '-l',
                            '--log-prefix', os.path.join(folder, 'log'),
                            'bench_workflows'],
                           check=True, capture_output=True)
            sent = {}
            for name in glob.glob(os.path.join(folder, 'log.*')):
                with open(name, encoding='ascii') as log:
                    for line in log:
                        client, n, _, _, second, microsecond = line.split()[:6]
                        sent[int(client) * each + int(n) - 1] = (
                            int(second) + int(microsecond) / 1e6)
        return sent

    def stop(self):
        self.connection.close()


class Library(NodePeer):
    program = 'workflow_peers.mjs'

    def __init__(self, name, folder, *arguments):
        super().__init__(name, folder, '', name)
        self.arguments = arguments
        # in a process of its own, as pgbench is ours
        self.publisher = NodePeer(name, folder, '', name)
        self.publisher.program = self.program

    def create(self):
        super().create()
        self.publisher.run()

    def resume(self, instances, publishers):
        keys = ['k%d' % i for i in range(instances)]
        self.call('wait', keys)
        self.publisher.call('publishers', publishers)
        published = self.publisher.call('publish', keys)
        over = self.call('over', keys)
        delays = [(resumed - sent) * 1000 for resumed, sent in
                  zip(over['resumed'], published['sent'])]
        return {'rate': instances / (over['over'] - published['begun']),
                'p50': percentile(delays, 0.5), 'p99': percentile(delays, 0.99)}

    def stop(self):
        self.publisher.stop()
        super().stop()


def workflow_peers(options):
    found = [Ours()]
    absurd = os.path.join(options.sql or '', 'absurd.sql')
    if options.node and options.sql and os.path.exists(absurd):
        found.append(Library('absurd', options.node, absurd))
    if options.node:
        found.append(Library('dbos', options.node))
    return found


def measure(table, options):
    """Each alone on the server, in a new database."""
    peers = workflow_peers(options)
    for publishers in (1, 4):
        figures = {'rate': {}, 'p50': {}, 'p99': {}}
        for i in range(options.rounds):
            for peer in peers if i % 2 == 0 else peers[::-1]:
                try:
                    peer.create()
                    measured = peer.resume(options.instances, publishers)
                finally:
                    peer.stop()
                for key, got in measured.items():
                    figures[key].setdefault(peer.name, []).append(got)
        if publishers == 1:
            print('   ' + ', '.join('%s %s' % (peer.name, peer.version)
                                    for peer in peers))
        who = '%d publisher%s' % (publishers, 's' * (publishers > 1))
        table.add('workflows that wait for an event each, %s: resumed/s'
                  % who, figures['rate'])
        for key in ('p50', 'p99'):
            table.add('the same: event to step, %s, ms' % key,
                      figures[key], '{:,.2f}', True)
