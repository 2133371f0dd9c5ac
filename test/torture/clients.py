"""The clients of a server under torture.  Each is a process of its own, which
may be killed at any moment; what it knows it has written to its journal."""

import io
import json
import os
import random
import time

import psycopg2
from psycopg2 import errors

PATTERNS = ['torture.a', 'torture.b', 'torture.c']


class Client:
    """A loop of actions over a connection that may go away."""

    user = 'postgres'

    def __init__(self, place, round_number, number, seed):
        self.place = place
        self.round = round_number
        self.number = number
        self.random = random.Random('%s/%s/%s' % (seed, type(self).__name__, number))
        self.connection = None
        self.journal = None
        self.where = None

    def run(self):
        """Until the file 'stop' is there, then finish()."""
        self.journal = open(os.path.join(self.place, 'journal', '%s-%d-%d-%d' % (
            type(self).__name__.lower(), self.round, self.number, os.getpid())), 'w')
        while True:
            ending = os.path.exists(os.path.join(self.place, self.stop_file))
            try:
                if self.connection is None or self.connection.closed:
                    self.connect()
                if ending:
                    if self.finish():
                        break
                else:
                    self.act()
            except psycopg2.Error as error:
                self.failed(error, ending)
                if self.connection is not None and self.lost(error):
                    self.connection.close()
                    self.connection = None
                if self.connection is None:
                    time.sleep(0.1)
            if ending and self.may_leave():
                break
        self.note(what='end')

    stop_file = 'stop'

    def may_leave(self):
        return False

    def lost(self, error):
        if self.connection is None or self.connection.closed:
            return True
        try:
            if self.connection.info.transaction_status != psycopg2.extensions.TRANSACTION_STATUS_IDLE:
                self.sql('ROLLBACK')
            return False
        except psycopg2.Error:
            return True

    def connect(self):
        with open(os.path.join(self.place, 'where')) as f:
            host, port = f.read().split()
        self.connection = psycopg2.connect(host=host, port=port, user=self.user, dbname='torture',
                                           connect_timeout=10, application_name='torture',
                                           options='-c statement_timeout=5min')
        self.connection.autocommit = True
        self.connected()

    def connected(self):
        pass

    def note(self, **what):
        self.journal.write(json.dumps(what) + '\n')
        self.journal.flush()

    def failed(self, error, ending):
        state = error.pgcode or ''
        # what an accident explains: connection lost, shut down, starting up, cancelled
        if state and not state.startswith(('57', '08', '40', '55')) and state not in self.expected \
                and 'debug point' not in str(error):
            self.note(what='error', state=state, message=str(error)[:400])

    expected = ()

    def sql(self, statement, parameters=None):
        with self.connection.cursor() as cursor:
            cursor.execute(statement, parameters)
            return cursor.fetchall() if cursor.description else []

    def chance(self, p):
        return self.random.random() < p

    def finish(self):
        return True


class Publisher(Client):
    """Publishes in every way, ends transactions in every way.

    Each transaction has a token in the journal: 'will' before COMMIT is sent,
    with the numbers of the events in it, then 'did' with what came of it.
    Where there is no 'did' all of them are there, or none."""

    def connected(self):
        # a new number: what the old session was doing may yet commit
        self.session = int(self.number * 1000 + self.random.randrange(1000)) * 100 + self.sessions
        self.sessions = (self.sessions + 1) % 100
        self.n = 0
        self.sequential = self.number % 2 == 0
        self.transactions = 0

    sessions = 0

    def act(self):
        self.transactions += 1
        token = 't-%d-%d-%d-%d' % (self.round, self.session, self.transactions, os.getpid())
        how = self.random.random()
        self.kept, self.undone = [], []
        self.sql('BEGIN')
        self.publish()
        if not self.sequential and how < 0.12:
            self.prepared(token, how)
        elif how < 0.22:
            self.sql('ROLLBACK')
            self.note(what='did', token=token, s=self.session, e=[], x=self.kept + self.undone,
                      how='rollback')
        else:
            if how < 0.25:
                time.sleep(self.random.uniform(0.1, 3))
                self.publish()
            self.end(token, 'COMMIT', 'commit')
        time.sleep(self.random.expovariate(1 / 0.15))

    def end(self, token, statement, how):
        self.note(what='will', token=token, s=self.session, e=self.kept, x=self.undone, how=how)
        self.sql(statement)
        self.note(what='did', token=token, s=self.session, e=self.kept, x=self.undone, how=how)

    def prepared(self, token, how):
        """Left to whoever comes, or finished after another transaction."""
        kept, undone = self.kept, self.undone
        self.note(what='will', token=token, s=self.session, e=kept, x=undone, how='prepare')
        self.sql("PREPARE TRANSACTION '%s'" % token)
        if how < 0.06:
            return
        self.kept, self.undone = [], []
        self.sql('BEGIN')
        self.publish()
        self.end(token + '+', 'COMMIT', 'commit')
        self.kept, self.undone = kept, undone
        if how < 0.08:
            # the word of the checker: it may have been finished by then
            self.sql("ROLLBACK PREPARED '%s'" % token)
            self.note(what='did', token=token, s=self.session, e=[], x=kept + undone, how='rollback')
        else:
            self.sql("COMMIT PREPARED '%s'" % token)
            self.note(what='did', token=token, s=self.session, e=kept, x=undone, how='commit')

    def publish(self):
        how = self.random.random()
        if how < 0.45:
            self.one_by_one()
        elif how < 0.65:
            self.many(self.random.randint(2, 30) if how < 0.645 else 300, self.by_array)
        elif how < 0.85:
            self.many(self.random.randint(1, 10), self.by_insert)
        else:
            self.many(self.random.randint(1, 20), self.by_copy)

    def events(self, count):
        result = []
        for _ in range(count):
            self.n += 1
            pattern = 'torture.rare' if self.chance(0.03) else self.random.choice(PATTERNS)
            payload = {'r': self.round, 's': self.session, 'n': self.n,
                       'amount': self.random.randint(0, 100)}
            if self.chance(0.01):
                payload['poison'] = True
            late = self.chance(0.02)
            key = None if self.chance(0.3) else '%d-%d' % (self.session, self.n % 5)
            result.append((self.n, pattern, payload, late, key))
        return result

    def record(self, events, kept):
        # before it is published: its tick then is lower than that of any effect
        with self.connection.cursor() as cursor:
            cursor.executemany(
                'INSERT INTO torture.published VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s)',
                [(self.round, self.session, n, pattern, payload['amount'], 'poison' in payload,
                  late, key, self.sequential) for n, pattern, payload, late, key in events])
        (self.kept if kept else self.undone).extend(n for n, *_ in events)

    def one_by_one(self):
        for _ in range(self.random.randint(1, 4)):
            undo = self.chance(0.1)
            if undo:
                self.sql('SAVEPOINT s')
            for event in self.events(1):
                n, pattern, payload, late, key = event
                self.record([event], not undo)
                # one that is urgent, or can wait, is out of the order like a late one
                priority = late and self.random.choice([None, 'critical', 'high', 'low'])
                self.sql("SELECT event_engine.publish_event(%s, %s, partition_key => %s, deliver_at =>"
                         " CASE WHEN %s THEN clock_timestamp() + '1 s' END, priority => %s)",
                         (pattern, json.dumps(payload), key, late and not priority, priority or 'normal'))
            if undo:
                self.sql('ROLLBACK TO s')

    def many(self, count, way):
        events = self.events(count)
        undo = self.chance(0.05)
        if undo:
            self.sql('SAVEPOINT m')
        self.record(events, not undo)
        way(events)
        if undo:
            self.sql('ROLLBACK TO m')

    def by_array(self, events):
        now = time.time()
        envelopes = []
        for _, pattern, payload, late, key in events:
            envelope = {'pattern': pattern, 'payload': payload}
            if key:
                envelope['partitionKey'] = key
            if late:
                envelope['deliverAt'] = time.strftime('%Y-%m-%dT%H:%M:%SZ', time.gmtime(now + 2))
            envelopes.append(envelope)
        self.sql('SELECT count(*) FROM event_engine.publish_events(%s)', (json.dumps(envelopes),))

    def by_insert(self, events):
        with self.connection.cursor() as cursor:
            values = ', '.join(cursor.mogrify(
                "(%s, %s, %s, CASE WHEN %s THEN clock_timestamp() + '1 s' END)",
                (pattern, json.dumps(payload), key, late)).decode()
                for _, pattern, payload, late, key in events)
            cursor.execute('INSERT INTO event_engine.events (pattern, payload, partition_key, deliver_at)'
                           ' VALUES ' + values)

    def by_copy(self, events):
        lines = ''.join('%s\t%s\t%s\n' % (pattern, json.dumps(payload).replace('\\', '\\\\'),
                                          key or '\\N')
                        for _, pattern, payload, _, key in events)
        with self.connection.cursor() as cursor:
            cursor.copy_expert('COPY event_engine.events (pattern, payload, partition_key) FROM STDIN',
                               io.StringIO(lines))


class Puller(Client):
    """Pulls; acknowledges with the effects, later with the effects, or apart."""

    user = 'puller'
    stop_file = 'stop-pulling'
    expected = ('VE402', 'VE303')
    SUBSCRIBERS = ['pull_exact', 'pull_fenced', 'pull_mortal', 'pull_sloppy']

    def connected(self):
        self.subscriber = self.SUBSCRIBERS[self.number % len(self.SUBSCRIBERS)]

    def act(self, calm=False):
        if self.subscriber == 'pull_exact':
            got = self.exact(calm)
        else:
            got = self.later(calm)
        if not got:
            time.sleep(0.1)
        return got

    def receive(self, timeout):
        return self.sql("SELECT receipt, id, seq, payload FROM event_engine.receive_events(%s, %s, %s)",
                        (self.subscriber, self.random.choice([1, 5, 50, 200]), timeout))

    def effects(self, rows):
        with self.connection.cursor() as cursor:
            cursor.executemany(
                'INSERT INTO torture.effect (subscriber, round, session, n, id, seq, attempts)'
                ' VALUES (%s, %s, %s, %s, %s, %s, NULL)',
                [(self.subscriber, p['r'], p['s'], p['n'], id, seq)
                 for _, id, seq, p in rows if 'r' in p])

    def sort(self, rows, calm):
        """Which to acknowledge, and which to reject."""
        mended = self.sql('SELECT count(*) FROM torture.mended')[0][0] > 0
        good, bad = [], []
        for row in rows:
            poisoned = 'poison' in row[3] and not mended and self.subscriber == 'pull_mortal'
            (bad if poisoned or not calm and self.chance(0.05) else good).append(row)
        return good, bad

    def settle(self, good, bad):
        everything = (good or bad)[0][0]
        if not bad:
            self.sql('SELECT event_engine.ack_events(%s)', (everything,))
            return
        if good:
            self.sql('SELECT event_engine.ack_events(%s, %s::uuid[])',
                     (everything, [row[1] for row in good]))
        self.sql('SELECT event_engine.nack_events(%s, %s, %s, %s::uuid[])',
                 (everything, self.random.choice([None, '0 s', '50 ms']), 'rejected',
                  [row[1] for row in bad]))

    def exact(self, calm):
        self.sql('BEGIN')
        rows = self.receive('1 min')
        if rows:
            good, bad = self.sort(rows, calm)
            self.effects(good)
            self.settle(good, bad)
        if not calm and self.chance(0.1):
            time.sleep(self.random.uniform(0, 0.3))
        self.sql('ROLLBACK' if not calm and self.chance(0.1) else 'COMMIT')
        return len(rows)

    def later(self, calm):
        rows = self.receive('1 min' if calm else self.random.choice(['100 ms', '500 ms', '3 s']))
        if not rows:
            return 0
        how = 1 if calm else self.random.random()
        if how < 0.05:
            return len(rows)            # forgotten until their time is over
        if how < 0.15:
            time.sleep(self.random.uniform(0, 0.6))
        if how < 0.10:
            self.sql('SELECT event_engine.extend_events(%s, %s)',
                     (rows[0][0], self.random.choice(['0 s', '1 s'])))
        good, bad = self.sort(rows, calm)
        if self.subscriber == 'pull_sloppy':
            self.effects(good)
            if how < 0.3:
                time.sleep(self.random.uniform(0, 0.2))
            self.settle(good, bad)
        else:
            self.sql('BEGIN')
            self.effects(good)
            self.settle(good, bad)
            self.sql('COMMIT')
        return len(rows)

    def finish(self):
        """Calm now: what there is, until the driver says that all is done."""
        self.act(calm=True)
        return os.path.exists(os.path.join(self.place, 'stop-all'))

    def may_leave(self):
        return os.path.exists(os.path.join(self.place, 'stop-all'))


class Listener(Client):
    """Hears the bell; keeps when it was last heard."""

    stop_file = 'stop-all'

    def connected(self):
        self.sql('LISTEN torture_bell')
        self.note(what='listening', at=time.time())

    def act(self):
        time.sleep(0.05)
        self.connection.poll()
        if self.connection.notifies:
            del self.connection.notifies[:]
            self.note(what='heard', at=time.time())
            with open(os.path.join(self.place, 'heard'), 'w') as f:
                f.write(str(time.time()))


class Administrator(Client):
    """Does what operators do: pauses, changes, redrives, keeps house."""

    PAUSABLE = ['all_one', 'flaky', 'slow', 'poisoned', 'pull_fenced', 'rare', 'limited', 'at_once', 'breaking', 'in_order', 'fanned',
                'workflow:clerk', 'workflow:smith']
    expected = ('VE303', 'VE402', 'VE203', 'VE102', 'VE409')
    made = 0
    begins = None       # the seq of the first event of the round

    def act(self):
        what = self.random.choices(
            ['pause', 'options', 'lanes', 'limits', 'definition', 'register', 'maintenance', 'redrive', 'discard',
             'process', 'join', 'leave', 'match', 'order', 'replay', 'seek'],
            [3, 3, 2, 2, 2, 1, 4, 2, 1, 6, 3, 3, 1, 2, 1, 1])[0]
        getattr(self, what)()
        time.sleep(self.random.expovariate(1 / 0.3))

    def pause(self):
        who = self.random.choice(self.PAUSABLE)
        self.sql('SELECT event_engine.pause_subscription(%s, %s)', (who, 'torture'))
        time.sleep(self.random.uniform(0, 1))
        self.sql('SELECT event_engine.resume_subscription(%s)', (who,))

    def options(self):
        who = self.random.choice(['all_one', 'all_array', 'flaky', 'flaky_array', 'chain', 'poisoned_array', 'workflow:clerk', 'workflow:smith'])
        self.sql('SELECT event_engine.update_subscription(%s, options => %s)',
                 (who, json.dumps({'batch_size': self.random.choice([1, 3, 50, 1000, 5000])})))

    def lanes(self):
        self.sql('SELECT event_engine.update_subscription(%s, options => %s)',
                 (self.random.choice(['fanned', 'in_order_array', 'workflow:smith']),
                  json.dumps({'concurrency': self.random.choice([1, 2, 3, 4, 8])})))

    def order(self):
        """Its events are in the order of their keys with the option and without."""
        self.sql('SELECT event_engine.update_subscription(%s, options => %s)',
                 ('switched', json.dumps({'ordered': self.chance(0.5)})))

    def replay(self):
        self.sql('SELECT event_engine.replay_events(%s, from_seq => %s)', ('replayed', self.first_seq()))

    def seek(self):
        """Never forward: what is of the round before has been delivered."""
        self.sql('SELECT event_engine.seek_subscription(%s, seq => %s)', ('sought', self.first_seq()))

    def first_seq(self):
        """Before all events of the round, those included that have yet to be committed."""
        if self.begins is None:
            self.begins = self.sql('SELECT greatest(coalesce(min(seq), 0) - 500, 1) FROM event_engine.events'
                                   " WHERE (payload ->> 'r')::int = %s", (self.round,))[0][0]
        return self.begins

    def limits(self):
        self.sql('SELECT event_engine.update_subscription(%s, options => %s)', self.random.choice([
            ('limited', json.dumps({'rate_limit': self.random.choice([0, 100, 1000])})),
            ('pull_mortal', json.dumps({'max_in_flight': self.random.choice([0, 5, 100])})),
            ('breaking', json.dumps({'breaker_threshold': self.random.choice([0, 1, 5])}))]))

    def definition(self):
        self.sql("SELECT event_engine.update_event_definition(%s, description => %s)",
                 ('def-' + self.random.choice('abc'), 'as of %f' % time.time()))

    def register(self):
        self.made += 1
        self.sql('SELECT event_engine.register_event_definition(%s)',
                 ('torture.other%d_%d_%d' % (self.round, os.getpid(), self.made),))

    def maintenance(self):
        self.sql('SELECT event_engine.run_maintenance()')

    def redrive(self):
        self.sql('SELECT event_engine.redrive_dead_letters(subscriber => %s, max_letters => %s)',
                 (self.random.choice(['poisoned', 'poisoned_json', 'poisoned_array', 'sleepy', 'breaking', 'in_order', 'pull_mortal']),
                  self.random.choice([1, 5, 20])))

    def discard(self):
        self.sql('SELECT event_engine.discard_dead_letters(subscriber => %s, max_letters => 1)',
                 (self.random.choice(['poisoned', 'poisoned_json', 'pull_mortal']),))

    def process(self):
        self.sql('BEGIN')
        self.sql('SELECT event_engine.process_batch(%s)', (self.random.choice([1, 10, 100]),))
        self.sql('ROLLBACK' if self.chance(0.3) else 'COMMIT')

    def match(self):
        self.sql("SELECT * FROM event_engine.match_event('torture.a', '{\"n\": 1, \"amount\": 95}')")
        self.sql('SELECT * FROM event_engine.stat_subscriptions')
        self.sql('SELECT event_engine.health()')

    def join(self):
        # PL/pgSQL keeps every function that it has compiled, and each brings its own
        if os.path.exists(os.path.join(self.place, 'steady')):
            return
        if self.sql("SELECT count(*) FROM torture.wants WHERE subscriber LIKE 'joined%' AND until IS NULL")[0][0] > 2:
            return
        self.made += 1
        name = 'joined_%d_%d_%d' % (self.round, os.getpid(), self.made)
        self.note(what='joining', subscriber=name)
        self.sql('BEGIN')
        self.sql("SELECT torture.attend(%s, %s, 'plain', '.', -1, true, true, %s)",
                 (name, self.random.choice(['event_engine.event', 'event_engine.event[]']),
                  '{"max_attempts": 50}'))
        self.sql('UPDATE torture.wants SET since = 9223372036854775807 WHERE subscriber = %s', (name,))
        self.sql('ROLLBACK' if self.chance(0.1) else 'COMMIT')
        # what is published from now on it has to get
        self.sql("UPDATE torture.wants SET since = nextval('torture.tick') WHERE subscriber = %s", (name,))

    def leave(self):
        rows = self.sql("SELECT subscriber FROM torture.wants WHERE subscriber LIKE 'joined%' AND until IS NULL"
                        ' ORDER BY since LIMIT 1')
        if not rows:
            return
        self.sql('BEGIN')
        self.sql('SELECT event_engine.unsubscribe(%s)', rows[0])
        if self.chance(0.2):
            self.sql('ROLLBACK')
            return
        self.sql('UPDATE torture.wants SET until = 9223372036854775807 WHERE subscriber = %s', rows[0])
        self.sql('COMMIT')
        self.sql("UPDATE torture.wants SET until = nextval('torture.tick') WHERE subscriber = %s", rows[0])
