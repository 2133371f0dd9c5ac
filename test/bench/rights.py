"""What rights and sensitive data cost a publisher: machine instructions of
publish_event, counted by callgrind in a single-user server of its own, so that
no other load and no clock is in the figures.

Rights and sealing are a matter of receiving an event.  Storing it costs now
more and now less, by where in an index it comes to lie: so that is counted
once, and receiving for each case."""
import os
import pwd
import re
import shutil
import subprocess
import tempfile

from common import PATTERN, payload

BIN = os.environ.get('BIN', '/usr/lib/postgresql/15/bin')
FEW, MANY = 100, 600			# events of two runs; what lies between counts

WHOLE = 'ee_sql_publish_event'
RECEIVE = 'ee_receive_event'
TAGGED = '{"tags": {"tenant": "acme"}}'
SCHEMA = ('{"type": "object", "required": ["invoice_id"],'
          ' "properties": {"amount": {"type": "integer"}}}')
MARKS = ('{"sensitive": ["$.payload.note"],'
         ' "sensitive_subject": "$.payload.customer_id"}')

# Single-user mode takes a statement a line.
SETUP = """
CREATE EXTENSION event_engine
CREATE ROLE bench_one
CREATE ROLE bench_ten
CREATE ROLE bench_thousand
CREATE ROLE bench_tenant
SELECT event_engine.register_event_definition('%s', payload_schema => '%s')
""" % (PATTERN, SCHEMA)
SENSITIVE = """
SELECT event_engine.register_event_definition('bench.sealed', payload_schema => '%s', options => '%s')
SELECT event_engine.register_event_definition('bench.other' || i, options => '%s') FROM generate_series(1, 100) AS i
""" % (SCHEMA, MARKS, MARKS)
GRANT = """
CALL event_engine.grant_publish('{plain}', '{role}'{tenant})
INSERT INTO event_engine.event_grants (grantee, privilege, pattern, match, granted_by) SELECT '{role}', 'publish', p, jsonb_build_object('type', CASE WHEN p ~ '#' THEN 'wildcard' ELSE 'exact' END, 'value', p), 'postgres' FROM (SELECT 'team' || i || CASE WHEN i % 2 = 0 THEN '.#' ELSE '.done' END AS p FROM generate_series(1, {last}) AS i) AS g
"""
PUBLISH = """
SET SESSION AUTHORIZATION {role}
DO $$ DECLARE doc jsonb := '{doc}'; BEGIN FOR i IN 1 .. {n} LOOP PERFORM event_engine.publish_event('{pattern}', doc, metadata => '{metadata}'); END LOOP; END $$
"""


class Server:
    """A data directory that single-user servers work on, one at a time."""

    def __init__(self):
        self.user = None
        if os.geteuid() == 0:
            self.user = os.environ.get('SERVER_USER', 'postgres')
        self.home = tempfile.mkdtemp(prefix='ee-rights.')
        if self.user:
            entry = pwd.getpwnam(self.user)
            os.chown(self.home, entry.pw_uid, entry.pw_gid)
        self.data = os.path.join(self.home, 'data')
        self.run([BIN + '/initdb', '-D', self.data, '-U', 'postgres',
                  '--locale=C.UTF-8', '-E', 'UTF8', '--no-sync', '-A', 'trust'])

    def run(self, command, script=''):
        done = subprocess.run(command, input=script, capture_output=True,
                              text=True, check=False, user=self.user,
                              group=self.user, extra_groups=[], cwd=self.home) \
            if self.user else \
            subprocess.run(command, input=script, capture_output=True,
                           text=True, check=False, cwd=self.home)
        if done.returncode != 0 or 'ERROR:' in done.stderr:
            raise RuntimeError(done.stdout[-2000:] + done.stderr[-2000:])

    def sql(self, script, before=()):
        self.run([*before, BIN + '/postgres', '--single', '-D', self.data,
                  '-c', 'fsync=off', 'postgres'], script)

    def instructions(self, function, n, role, pattern, metadata):
        """All that happened in this function in n calls of publish_event."""
        out = os.path.join(self.home, 'callgrind.out')
        self.sql(PUBLISH.format(role=role, pattern=pattern, n=n,
                                metadata=metadata, doc=payload(1)),
                 ['valgrind', '--tool=callgrind',
                  '--toggle-collect=' + function,
                  '--callgrind-out-file=' + out])
        with open(out, encoding='utf-8') as file:
            found = re.search(r'^(?:totals|summary): (\d+)', file.read(),
                              re.MULTILINE)
        return int(found[1])

    def event(self, function, role='postgres', pattern=PATTERN,
              metadata='{}'):
        """Instructions of one event, without what is read and compiled at
        first."""
        few, many = (self.instructions(function, n, role, pattern, metadata)
                     for n in (FEW, MANY))
        return (many - few) / (MANY - FEW)

    def close(self):
        shutil.rmtree(self.home)


def figures(report, options):
    server = Server()
    try:
        server.sql(SETUP)
        # the first events find the log's tables and indexes empty
        server.instructions(WHOLE, MANY, 'postgres', PATTERN, '{}')
        whole = server.event(WHOLE)
        alone = server.event(RECEIVE)
        tagged = server.event(RECEIVE, metadata=TAGGED)
        report.note('by the owner: %.0f instructions an event, %.0f to receive'
                    ' it' % (whole, alone))

        def case(what, most, taken, without):
            report.note('%s: %+.0f instructions' % (what, taken - without))
            report.at_most('publish_event %s / without, instructions' % what,
                           most, (whole + taken - without) / whole)

        for role, n, tenant in (('bench_one', 1, ''), ('bench_ten', 10, ''),
                                ('bench_thousand', 1000, ''),
                                ('bench_tenant', 1000, ", tenant => 'acme'")):
            server.sql(GRANT.format(plain=PATTERN, role=role, tenant=tenant,
                                    last=n - 1))
            if not tenant:
                case('by a role with %d grants' % n, 1.01,
                     server.event(RECEIVE, role), alone)
                continue
            case('for the tenant of one of %d grants' % n, 1.02,
                 server.event(RECEIVE, role, metadata=TAGGED), tagged)
            case('for a tenant that is filled in', 1.10,
                 server.event(RECEIVE, role), alone)
        server.sql(SENSITIVE)
        case('beside 100 definitions with sensitive values', 1.01,
             server.event(RECEIVE), alone)
        case('with a sensitive value', 1.50,
             server.event(RECEIVE, pattern='bench.sealed'), alone)
    finally:
        server.close()
