"""The peers that are libraries for Node, each in a process of its own that is
told what to do line by line (peers.mjs, workflow_peers.mjs)."""
import json
import os
import subprocess

from common import connect, run

HERE = os.path.dirname(os.path.abspath(__file__))


class NodePeer:
    publish_sql = ''
    latency_modes = ()
    shares = False
    program = 'peers.mjs'
    arguments = ()

    def __init__(self, name, folder, mode, title, publish_sql='',
                 shares=False):
        self.name = name
        self.folder = folder
        self.latency_modes = (mode,)
        self.database = 'bench_' + name
        self.version = title
        self.publish_sql = publish_sql
        self.shares = shares
        self.process = None

    def create(self):
        admin = connect('postgres')
        run(admin, 'DROP DATABASE IF EXISTS ' + self.database)
        run(admin, 'CREATE DATABASE ' + self.database)
        self.run()
        self.version = self.call('start', *self.arguments)

    def run(self):
        node = os.path.join(self.folder, 'node_modules', '.bin', 'node')
        self.process = subprocess.Popen(
            [node, os.path.join(HERE, self.program), self.name],
            env=dict(os.environ, PGDATABASE=self.database,
                     PEERS_NODE=self.folder),
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def call(self, *command):
        self.process.stdin.write(json.dumps(command) + '\n')
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        if not line:
            raise RuntimeError('%s ended at %s' % (self.name, command))
        answer = json.loads(line)
        if 'error' in answer:
            raise RuntimeError('%s: %s' % (self.name, answer['error']))
        return answer['ok']

    def stop(self):
        if self.process is not None:
            self.call('stop')
            self.process.wait(10)


def node_peers(folder):
    return [NodePeer('pg_boss', folder, 'NOTIFY', 'pg-boss', shares=True),
            NodePeer('graphile_worker', folder, 'its defaults are woken by NOTIFY',
                     'graphile-worker',
                     "SELECT graphile_worker.add_job('t', :payload::json);\n")]
