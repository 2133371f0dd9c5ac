"""A server of its own for the torture: made, stopped in every way, killed,
followed by a standby, dumped and restored."""

import os
import re
import shutil
import signal
import subprocess
import time

import psycopg2

CONF = """
listen_addresses = ''
unix_socket_directories = '{socket}'
port = {port}
fsync = off
shared_buffers = 48MB
max_connections = 80
max_worker_processes = 24
max_prepared_transactions = 60
max_wal_senders = 4
wal_level = replica
checkpoint_timeout = 30s
restart_after_crash = on
log_line_prefix = '%m [%p] %b %e '
log_min_messages = warning
log_statement = none
log_checkpoints = off
shared_preload_libraries = 'event_engine'
event_engine.delivery_poll_interval = 200ms
event_engine.worker_launch_interval = 200ms
event_engine.delivery_batch_time = 20ms
event_engine.worker_idle_timeout = 3s
event_engine.worker_help_after = 50ms
event_engine.delivery_position_interval = 1s
event_engine.store_partition_period = hour
include = 'torture.conf'
"""
DATABASE = 'torture'


class Failure(Exception):
    """What the harness itself could not do."""


class Cluster:
    """One server; its port tells it from others in the same socket folder."""

    def __init__(self, bin_dir, place, name, port):
        self.bin = bin_dir
        self.name = name
        self.socket = place
        self.port = port
        self.data = os.path.join(place, name)
        self.log = os.path.join(place, name + '.log')
        self.settings = {}
        self.log_read = 0

    def run(self, *command, check=True):
        program = os.path.join(self.bin, command[0])
        done = subprocess.run([program if os.path.exists(program) else command[0], *command[1:]],
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, text=True)
        if check and done.returncode != 0:
            raise Failure('%s failed:\n%s' % (' '.join(command), done.stdout[-3000:]))
        return done

    def make(self):
        self.run('initdb', '-D', self.data, '-U', 'postgres', '-A', 'trust', '-E', 'UTF8',
                 '--locale=C.UTF-8', '--no-sync', '--no-instructions')
        self.configure()

    def configure(self):
        with open(os.path.join(self.data, 'postgresql.conf'), 'a') as conf:
            conf.write(CONF.format(socket=self.socket, port=self.port))
        self.write_settings()

    def follow(self, primary):
        """Become a standby of primary."""
        self.run('pg_basebackup', '-D', self.data, '-h', primary.socket, '-p', str(primary.port),
                 '-U', 'postgres', '-R', '-X', 'stream', '-c', 'fast', '--no-sync')
        with open(os.path.join(self.data, 'postgresql.conf'), 'a') as conf:
            conf.write('port = %d\n' % self.port)
        self.write_settings()

    def write_settings(self):
        # replaced in one go: the server may be reading it
        path = os.path.join(self.data, 'torture.conf')
        with open(path + '.new', 'w') as conf:
            for name, value in self.settings.items():
                conf.write("%s = '%s'\n" % (name, value))
        os.rename(path + '.new', path)

    def set(self, **settings):
        """Settings named with __ for the dot; None takes one back."""
        for name, value in settings.items():
            name = name.replace('__', '.')
            if value is None:
                self.settings.pop(name, None)
            else:
                self.settings[name] = value
        self.write_settings()
        pid = self.postmaster()
        if pid:
            try:
                os.kill(pid, signal.SIGHUP)
            except ProcessLookupError:
                pass

    def postmaster(self):
        try:
            with open(os.path.join(self.data, 'postmaster.pid')) as f:
                pid = int(f.readline())
            os.kill(pid, 0)
            return pid
        except (FileNotFoundError, ValueError, ProcessLookupError):
            return None

    def start(self, seconds=60):
        """Also where processes of a postmaster that was killed are still there."""
        end = time.time() + seconds
        while True:
            done = self.run('pg_ctl', '-D', self.data, '-l', self.log, '-s', '-w', '-t', '60',
                            'start', check=False)
            if done.returncode == 0:
                return
            if time.time() > end:
                raise Failure('server %s does not start: %s' % (self.name, done.stdout))
            time.sleep(0.2)

    def stop(self, mode='fast'):
        if self.postmaster():
            done = self.run('pg_ctl', '-D', self.data, '-s', '-w', '-t', '60', '-m', mode, 'stop',
                            check=False)
            if self.postmaster():
                # a fast stop that meets a recovery after a crash may be forgotten
                self.run('pg_ctl', '-D', self.data, '-s', '-w', '-t', '60', '-m', 'immediate', 'stop',
                         check=False)
            if self.postmaster():
                raise Failure('server %s does not stop (%s): %s' % (self.name, mode, done.stdout))

    def kill_postmaster(self):
        pid = self.postmaster()
        if pid:
            os.kill(pid, signal.SIGKILL)
            while self.postmaster():
                time.sleep(0.01)

    def promote(self):
        self.run('pg_ctl', '-D', self.data, '-s', '-w', '-t', '60', 'promote')

    def connect(self, user='postgres', database=DATABASE, options=''):
        connection = psycopg2.connect(host=self.socket, port=self.port, user=user, dbname=database,
                                      connect_timeout=10, application_name='torture',
                                      options=options)
        connection.autocommit = True
        return connection

    def query(self, sql, parameters=None, database=DATABASE):
        """Rows; tried again while the server is not there."""
        end = time.time() + 600
        while True:
            try:
                connection = self.connect(database=database)
                try:
                    with connection.cursor() as cursor:
                        cursor.execute(sql, parameters)
                        return cursor.fetchall() if cursor.description else []
                finally:
                    connection.close()
            except (psycopg2.OperationalError, psycopg2.InterfaceError):
                if time.time() > end:
                    raise
                time.sleep(0.1)

    def wait_ready(self):
        self.query('SELECT 1', database='postgres')

    def dump(self, path):
        self.run('pg_dump', '-h', self.socket, '-p', str(self.port), '-U', 'postgres',
                 '-d', DATABASE, '-Fc', '-f', path)

    def restore(self, path):
        self.run('pg_restore', '-h', self.socket, '-p', str(self.port), '-U', 'postgres',
                 '-d', DATABASE, '--exit-on-error', path)

    def remove(self):
        self.stop('immediate')
        shutil.rmtree(self.data, ignore_errors=True)

    # ------------------------------------------------------------ processes

    def children(self):
        """(pid, title) of the server's processes, from /proc: no query needed."""
        parent = self.postmaster()
        found = []
        if parent is None:
            return found
        for entry in os.listdir('/proc'):
            if not entry.isdigit():
                continue
            try:
                with open('/proc/%s/stat' % entry) as f:
                    ppid = int(f.read().rpartition(')')[2].split()[1])
                if ppid != parent:
                    continue
                with open('/proc/%s/cmdline' % entry, 'rb') as f:
                    title = f.read().split(b'\0')[0].decode(errors='replace')
            except (FileNotFoundError, ProcessLookupError, IndexError, ValueError):
                continue
            found.append((int(entry), title))
        return found

    def processes(self, kind):
        """Processes of a kind: executor, router, launcher, client, or a server's name."""
        pattern = {'executor': 'event_engine executor', 'router': 'event_engine router',
                   'launcher': 'event_engine launcher',
                   'client': r'postgres: \w+ %s \[local\]' % DATABASE}.get(kind, kind)
        return sorted(pid for pid, title in self.children() if re.search(pattern, title))

    def new_log(self):
        """What the log has said since the last call."""
        try:
            with open(self.log, errors='replace') as f:
                f.seek(self.log_read)
                text = f.read()
                self.log_read = f.tell()
                return text
        except FileNotFoundError:
            return ''
