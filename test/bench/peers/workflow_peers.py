"""Workflows that wait for an event each: event_engine, Absurd (whose SQL file
--sql may hold) and DBOS Transact, the latter two as libraries for Node."""
import os
import subprocess
import tempfile

from common import connect, percentile, run, run_file, value, wait_until
from node_peers import NodePeer

PUBLISH = ("SELECT event_engine.publish_event('order.paid',"
           " jsonb_build_object('order', nextval('bench.keys')));\n")


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
        first = value(self.connection, "SELECT nextval('bench.keys')") + 1
        run(self.connection, "SELECT count(event_engine.start_workflow('order',"
            " jsonb_build_object('order', n)))"
            " FROM generate_series(%s, %s) AS n",
            (first, first + instances - 1))
        wait_until(self.connection, "SELECT NOT EXISTS (SELECT FROM"
                   " event_engine.workflow_instances WHERE status = 'running')")
        run(self.connection, 'VACUUM ANALYZE')
        begun = value(self.connection, 'SELECT clock_timestamp()')
        with tempfile.NamedTemporaryFile('w', suffix='.sql') as file:
            file.write(PUBLISH)
            file.flush()
            subprocess.run(['pgbench', '-n', '-M', 'prepared', '-c',
                            str(publishers), '-t', str(instances // publishers),
                            '-f', file.name, 'bench_workflows'],
                           check=True, capture_output=True)
        wait_until(self.connection, "SELECT NOT EXISTS (SELECT FROM"
                   " event_engine.workflow_waits)")
        rows = run(self.connection, """
            SELECT extract(epoch FROM s.finished_at - %s)::float8,
                extract(epoch FROM s.started_at - e.created_at)::float8 * 1000
            FROM event_engine.workflow_steps AS s
            JOIN event_engine.events AS e ON e.id = s.event_id
            WHERE s.started_at > %s""", (begun, begun))
        delays = [row[1] for row in rows]
        return {'rate': instances / max(row[0] for row in rows),
                'p50': percentile(delays, 0.5), 'p99': percentile(delays, 0.99)}

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
