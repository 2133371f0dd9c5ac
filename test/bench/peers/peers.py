"""The peers that are SQL: how each publishes and consumes as its manual
recommends.  A consumer is a function that takes one batch, acknowledges it,
and returns the payloads; None where it has to look again at once.
"""
import contextlib
import multiprocessing
import os
import select
import time

from common import (PATTERN, connect, envelopes, payload, run, run_file, value,
                    wait_until)

BATCH = 1000


def texts(n=BATCH, first=0):
    return [payload(i) for i in range(first, first + n)]


class Peer:
    """What all have in common; a measure that a peer has not is skipped."""
    name = ''
    publish_sql = ''            # one event, a script of pgbench
    latency_modes = ()
    copies = False              # a subscriber has a copy of its own
    shares = True               # several clients can share the work

    def __init__(self):
        self.database = 'bench_' + self.name
        self.version = ''

    def connect(self):
        return connect(self.database)

    def create(self):
        admin = connect('postgres')
        run(admin, 'DROP DATABASE IF EXISTS ' + self.database)
        run(admin, 'CREATE DATABASE ' + self.database)
        admin.close()
        connection = self.connect()
        run(connection, 'SET synchronous_commit = off')
        self.setup(connection)
        connection.close()

    def setup(self, connection):
        raise NotImplementedError

    def empty(self, connection):
        """Nothing waits."""

    def publish(self, connection, batch):
        """A batch of payloads in one transaction."""
        raise NotImplementedError

    def publish_one(self, connection, text):
        raise NotImplementedError

    def fill(self, connection, events, drains):
        """A backlog, as often as it is to be drained."""
        self.empty(connection)
        for i in range(0, events, BATCH):
            self.publish(connection, texts(BATCH, i))
        run(connection, 'VACUUM ANALYZE')
        run(connection, 'CHECKPOINT')

    def consumer(self, connection, drain=0):
        raise NotImplementedError

    def statements(self, drain):
        """For pull.c: which of the statements gives the events, and all."""
        return None

    def inside(self, connection, drain=0):
        """Drain the backlog in the server, reading a member of each payload;
        events."""
        raise NotImplementedError

    def fan_setup(self, connection, subscribers):
        raise NotImplementedError

    def fan_publish(self, connection, batch, subscribers):
        self.publish(connection, batch)

    def fan_consumer(self, connection, subscriber):
        raise NotImplementedError

    @contextlib.contextmanager
    def ticking(self, mode):
        """What has to run beside clients for events to arrive."""
        yield

    def listen(self, mode, take, going_on):
        """Consume as soon as possible: take(payloads) while going_on()."""
        raise NotImplementedError

    def dead_rows(self, connection):
        run(connection, 'SELECT pg_stat_clear_snapshot()')
        return int(value(connection, 'SELECT sum(n_dead_tup) FROM pg_stat_user_tables'))


DRAIN_INSIDE = """
    CREATE PROCEDURE bench.drain_inside(name text, size int, INOUT n bigint)
    LANGUAGE plpgsql AS $$
    DECLARE m bigint; receipt uuid;
    BEGIN
        n := 0;
        LOOP
            SELECT count(r.payload ->> 'amount'), max(r.receipt::text)::uuid
                INTO m, receipt FROM event_engine.receive_events(name, size) AS r;
            EXIT WHEN m = 0;
            PERFORM event_engine.ack_events(receipt);
            n := n + m;
            COMMIT;
        END LOOP;
    END $$"""


class EventEngine(Peer):
    name = 'event_engine'
    publish_sql = "SELECT event_engine.publish_event('%s', :payload::jsonb);\n" % PATTERN
    latency_modes = ('handler', 'await_events')

    def setup(self, connection):
        run_file(connection, 'setup.sql')
        run(connection, DRAIN_INSIDE)
        self.version = value(connection, "SELECT extversion FROM pg_extension"
                             " WHERE extname = 'event_engine'")

    def subscribe(self, connection, name, handler=None):
        run(connection, 'SELECT event_engine.subscribe(%s, ARRAY[%s],'
            ' handler => %s)', (name, PATTERN, handler))

    def empty(self, connection):
        for (name,) in run(connection, 'SELECT subscriber FROM'
                           ' event_engine.subscriptions'):
            run(connection, 'SELECT event_engine.unsubscribe(%s)', (name,))
        self.subscribe(connection, 'waiting')

    def publish(self, connection, batch):
        run(connection, 'SELECT count(*) FROM event_engine.publish_events(%s)',
            (envelopes(batch),))

    def publish_one(self, connection, text):
        run(connection, "SELECT event_engine.publish_event(%s, %s)",
            (PATTERN, text))

    def fill(self, connection, events, drains):
        self.empty(connection)
        for i in range(drains):
            self.subscribe(connection, 'drain_%d' % i)
            self.subscribe(connection, 'handler_%d' % i, 'bench.noop')
            run(connection, 'SELECT event_engine.pause_subscription(%s)',
                ('handler_%d' % i,))
        for i in range(0, events, BATCH):
            self.publish(connection, texts(BATCH, i))
        run(connection, 'VACUUM ANALYZE')
        run(connection, 'CHECKPOINT')

    def _consumer(self, connection, name):
        def consume():
            rows = run(connection, 'SELECT receipt, seq, pattern,'
                       ' event_engine.jsonb_to_json(payload)::text'
                       ' FROM event_engine.receive_events(%s, %s)',
                       (name, BATCH))
            if rows:
                run(connection, 'SELECT event_engine.ack_events(%s)',
                    (rows[0][0],))
            return [row[3] for row in rows]
        return consume

    def consumer(self, connection, drain=0):
        return self._consumer(connection, 'drain_%d' % drain)

    def statements(self, drain):
        return 0, ("SELECT receipt, seq, event_engine.jsonb_to_json(payload)"
                   " FROM event_engine.receive_events('drain_%d', %d)" %
                   (drain, BATCH), 'SELECT event_engine.ack_events($1)')

    def inside(self, connection, drain=0):
        return value(connection, 'CALL bench.drain_inside(%s, %s, NULL)',
                     ('drain_%d' % drain, BATCH))

    def handled(self, connection, drain, events):
        """Events a second by a handler."""
        name = 'handler_%d' % drain
        begun = value(connection, 'SELECT clock_timestamp()')
        run(connection, 'SELECT event_engine.resume_subscription(%s)', (name,))
        wait_until(connection, 'SELECT delivered >= %s FROM bench.stand(%s)',
                   (events, name))
        moved = value(connection, 'SELECT moved_at FROM bench.stand(%s)',
                      (name,))
        return events / (moved - begun).total_seconds()

    def fan_setup(self, connection, subscribers):
        self.empty(connection)
        for i in range(subscribers):
            self.subscribe(connection, 'fan_%d' % i)

    def fan_consumer(self, connection, subscriber):
        return self._consumer(connection, 'fan_%d' % subscriber)

    def listen(self, mode, take, going_on):
        connection = self.connect()
        self.empty(connection)
        if mode == 'handler':
            run(connection, 'TRUNCATE bench.started')
            self.subscribe(connection, 'latency', 'bench.started')
            yield
            while going_on():
                time.sleep(0.05)
                for n, at in run(connection, 'SELECT n, extract(epoch FROM at)::float8'
                                 ' FROM bench.started'):
                    take([n], at)
            return
        consume = self._consumer(connection, 'waiting')
        yield
        while going_on():
            run(connection, "CALL event_engine.await_events('waiting', '1 s')")
            take(consume())


class PgQ(Peer):
    name = 'pgq'
    schema = 'pgq'
    publish_sql = "SELECT pgq.insert_event('q', '%s', :payload);\n" % PATTERN
    latency_modes = ('tick each 2 ms',)
    shares = False

    def setup(self, connection):
        run(connection, 'CREATE EXTENSION pgq')
        self.version = value(connection, "SELECT extversion FROM pg_extension"
                             " WHERE extname = 'pgq'")
        run(connection, "SELECT pgq.create_queue('q')")
        # with an empty table of ticks its plans are those for an empty table
        run(connection, "SELECT pgq.register_consumer('q', 'seed')")
        for _ in range(300):
            run(connection, "SELECT pgq.insert_event('q', 'seed', 'x')")
            self.tick(connection)
        run(connection, 'ANALYZE')

    def tick(self, connection):
        run(connection, "SELECT %s.force_tick('q')" % self.schema)
        run(connection, "SELECT %s.ticker('q')" % self.schema)

    def register(self, connection, name):
        run(connection, "SELECT pgq.register_consumer('q', %s)", (name,))

    def empty(self, connection):
        run(connection, "SELECT pgq.drop_queue('q', true)")
        run(connection, "SELECT pgq.create_queue('q')")
        self.register(connection, 'waiting')

    def publish(self, connection, batch):
        run(connection, "SELECT count(pgq.insert_event('q', %s, x))"
            ' FROM unnest(%s) AS x', (PATTERN, batch))

    def publish_one(self, connection, text):
        run(connection, "SELECT pgq.insert_event('q', %s, %s)",
            (PATTERN, text))

    def fill(self, connection, events, drains):
        self.empty(connection)
        for i in range(drains):
            self.register(connection, 'drain_%d' % i)
        for i in range(0, events, BATCH):
            self.publish(connection, texts(BATCH, i))
            self.tick(connection)
        run(connection, 'VACUUM ANALYZE')
        run(connection, 'CHECKPOINT')

    def _consumer(self, connection, name):
        def consume():
            batch = value(connection, "SELECT pgq.next_batch('q', %s)",
                          (name,))
            if batch is None:
                return []
            rows = run(connection, 'SELECT ev_id, ev_type, ev_data'
                       ' FROM pgq.get_batch_events(%s)', (batch,))
            run(connection, 'SELECT pgq.finish_batch(%s)', (batch,))
            return [row[2] for row in rows] or None
        return consume

    def consumer(self, connection, drain=0):
        return self._consumer(connection, 'drain_%d' % drain)

    def statements(self, drain):
        return 1, ("SELECT pgq.next_batch('q', 'drain_%d')" % drain,
                   'SELECT ev_id, ev_data FROM pgq.get_batch_events($1)',
                   'SELECT pgq.finish_batch($1)')

    def inside(self, connection, drain=0):
        run(connection, """
            CREATE OR REPLACE PROCEDURE drain_inside(name text, INOUT n bigint)
            LANGUAGE plpgsql AS $$
            DECLARE batch bigint; m bigint;
            BEGIN
                n := 0;
                LOOP
                    batch := pgq.next_batch('q', name);
                    EXIT WHEN batch IS NULL;
                    SELECT count(e.ev_data::jsonb ->> 'amount') INTO m
                        FROM pgq.get_batch_events(batch) AS e;
                    PERFORM pgq.finish_batch(batch);
                    n := n + m;
                    COMMIT;
                END LOOP;
            END $$""")
        return value(connection, 'CALL drain_inside(%s, NULL)',
                     ('drain_%d' % drain,))

    def fan_setup(self, connection, subscribers):
        self.empty(connection)
        run(connection, "SELECT %s.set_queue_config('q', 'ticker_max_lag',"
            " '50 milliseconds')" % self.schema)
        for i in range(subscribers):
            self.register(connection, 'fan_%d' % i)

    def fan_consumer(self, connection, subscriber):
        return self._consumer(connection, 'fan_%d' % subscriber)

    def ticker(self, stop, pause):
        connection = self.connect()
        while not stop.is_set():
            run(connection, 'SELECT %s.ticker()' % self.schema)
            time.sleep(pause)

    @contextlib.contextmanager
    def ticking(self, mode):
        pause = 0.002 if mode == 'latency' else 0.05
        connection = self.connect()
        if mode == 'latency':
            run(connection, "SELECT %s.set_queue_config('q',"
                " 'ticker_max_count', '1')" % self.schema)
        stop = multiprocessing.Event()
        process = multiprocessing.Process(target=self.ticker,
                                          args=(stop, pause))
        process.start()
        try:
            yield
        finally:
            stop.set()
            process.join()

    def listen(self, mode, take, going_on):
        connection = self.connect()
        self.empty(connection)
        consume = self._consumer(connection, 'waiting')
        yield
        with self.ticking('latency'):
            while going_on():
                got = consume()
                take(got or [])
                if got == []:
                    time.sleep(0.002)


class PgQue(PgQ):
    """PgQ rewritten in PL/pgSQL, with an API of its own; from a file."""
    name = 'pgque'
    schema = 'pgque'
    publish_sql = "SELECT pgque.send('q', :payload::jsonb);\n"
    latency_modes = ('tick each 100 ms',)

    def __init__(self, file):
        super().__init__()
        self.file = file

    def setup(self, connection):
        with open(self.file, encoding='utf-8') as file:
            run(connection, file.read())
        self.version = value(connection, 'SELECT pgque.version()')
        run(connection, "SELECT pgque.create_queue('q')")
        self.register(connection, 'seed')
        for _ in range(300):
            run(connection, "SELECT pgque.send('q', '{}'::jsonb)")
            self.tick(connection)
        run(connection, 'ANALYZE')

    def register(self, connection, name):
        run(connection, "SELECT pgque.subscribe('q', %s)", (name,))

    def empty(self, connection):
        run(connection, "SELECT pgque.drop_queue('q', true)")
        run(connection, "SELECT pgque.create_queue('q')")
        self.register(connection, 'waiting')

    def publish(self, connection, batch):
        run(connection, "SELECT pgque.send_batch('q', %s::text[])", (batch,))

    def publish_one(self, connection, text):
        run(connection, "SELECT pgque.send('q', %s::jsonb)", (text,))

    def _consumer(self, connection, name):
        def consume():
            rows = run(connection, 'SELECT batch_id, msg_id, type, payload'
                       " FROM pgque.receive('q', %s, 1000000)", (name,))
            if rows:
                run(connection, 'SELECT pgque.ack(%s)', (rows[0][0],))
            return [row[3] for row in rows]
        return consume

    inside = None

    def listen(self, mode, take, going_on):
        connection = self.connect()
        self.empty(connection)
        run(connection, 'LISTEN pgque_q')
        consume = self._consumer(connection, 'waiting')
        yield
        with self.ticking('pgque'):
            while going_on():
                got = consume()
                take(got)
                if not got:
                    select.select([connection], [], [], 0.1)
                    connection.poll()
                    connection.notifies.clear()


class SkipLocked(Peer):
    """The queue that everybody writes: a table, DELETE ... SKIP LOCKED."""
    name = 'skip_locked'
    publish_sql = ("INSERT INTO q (topic, payload) VALUES ('%s',"
                   ' :payload::jsonb);\n' % PATTERN)
    latency_modes = ('NOTIFY',)
    copies = True

    def setup(self, connection):
        self.version = 'a table'
        run(connection, """
            CREATE TABLE q (
                id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
                topic text NOT NULL, payload jsonb NOT NULL,
                run_at timestamptz NOT NULL DEFAULT now(),
                attempts int NOT NULL DEFAULT 0,
                created_at timestamptz NOT NULL DEFAULT now());
            CREATE INDEX ON q (run_at);
            CREATE TABLE fan (
                id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
                subscriber smallint NOT NULL, payload jsonb NOT NULL,
                run_at timestamptz NOT NULL DEFAULT now(),
                attempts int NOT NULL DEFAULT 0);
            CREATE INDEX ON fan (subscriber, id);
            CREATE PROCEDURE drain_inside(size int, INOUT n bigint)
            LANGUAGE plpgsql AS $$
            DECLARE m bigint;
            BEGIN
                n := 0;
                LOOP
                    WITH taken AS (DELETE FROM q WHERE id = ANY (ARRAY(
                            SELECT id FROM q WHERE run_at <= now()
                            ORDER BY id LIMIT size FOR UPDATE SKIP LOCKED))
                        RETURNING payload)
                    SELECT count(payload ->> 'amount') INTO m FROM taken;
                    EXIT WHEN m = 0;
                    n := n + m;
                    COMMIT;
                END LOOP;
            END $$""")

    def empty(self, connection):
        run(connection, 'TRUNCATE q, fan')

    def publish(self, connection, batch):
        run(connection, 'INSERT INTO q (topic, payload) SELECT %s, x::jsonb'
            ' FROM unnest(%s) AS x', (PATTERN, batch))

    def publish_one(self, connection, text):
        run(connection, 'INSERT INTO q (topic, payload) VALUES (%s, %s);'
            ' NOTIFY q', (PATTERN, text))

    def consumer(self, connection, drain=0):
        def consume():
            return [row[2] for row in run(connection, """
                DELETE FROM q WHERE id = ANY (ARRAY(
                    SELECT id FROM q WHERE run_at <= now()
                    ORDER BY id LIMIT %s FOR UPDATE SKIP LOCKED))
                RETURNING id, topic, payload""", (BATCH,))]
        return consume

    def statements(self, drain):
        return 0, ("""DELETE FROM q WHERE id = ANY (ARRAY(
            SELECT id FROM q WHERE run_at <= now()
            ORDER BY id LIMIT %d FOR UPDATE SKIP LOCKED))
            RETURNING id, payload""" % BATCH,)

    def inside(self, connection, drain=0):
        return value(connection, 'CALL drain_inside(%s, NULL)', (BATCH,))

    def fan_setup(self, connection, subscribers):
        self.empty(connection)

    def fan_publish(self, connection, batch, subscribers):
        run(connection, 'INSERT INTO fan (subscriber, payload)'
            ' SELECT s, x::jsonb FROM unnest(%s) AS x,'
            ' generate_series(0, %s - 1) AS s', (batch, subscribers))

    def fan_consumer(self, connection, subscriber):
        def consume():
            return [row[1] for row in run(connection, """
                DELETE FROM fan WHERE id = ANY (ARRAY(
                    SELECT id FROM fan
                    WHERE subscriber = %s AND run_at <= now()
                    ORDER BY id LIMIT %s FOR UPDATE SKIP LOCKED))
                RETURNING id, payload""", (subscriber, BATCH))]
        return consume

    def listen(self, mode, take, going_on):
        connection = self.connect()
        self.empty(connection)
        run(connection, 'LISTEN q')
        consume = self.consumer(connection)
        yield
        while going_on():
            got = consume()
            take(got)
            if not got:
                select.select([connection], [], [], 1)
                connection.poll()
                connection.notifies.clear()


class Pgmq(Peer):
    """From a file: its SQL, which is all of it."""
    name = 'pgmq'
    publish_sql = "SELECT pgmq.send('q', :payload::jsonb);\n"
    latency_modes = ('read_with_poll, 100 ms',)
    copies = True

    def __init__(self, file, subscribers=10):
        super().__init__()
        self.file = file
        self.subscribers = subscribers

    def setup(self, connection):
        with open(self.file, encoding='utf-8') as file:
            run(connection, file.read())
        self.version = 'from ' + os.path.basename(self.file)
        for queue in ['q'] + ['f%d' % i for i in range(self.subscribers)]:
            run(connection, 'SELECT pgmq.create(%s)', (queue,))

    def empty(self, connection):
        run(connection, 'TRUNCATE ' + ', '.join(
            'pgmq.q_' + queue for queue in
            ['q'] + ['f%d' % i for i in range(self.subscribers)]))

    def publish(self, connection, batch, queue='q'):
        run(connection, 'SELECT count(*) FROM pgmq.send_batch(%s, %s::jsonb[])',
            (queue, batch))

    def publish_one(self, connection, text):
        run(connection, "SELECT pgmq.send('q', %s::jsonb)", (text,))

    def _consumer(self, connection, queue, read='pgmq.read(%s, 30, %s)'):
        def consume():
            rows = run(connection, 'SELECT msg_id, message FROM ' + read,
                       (queue, BATCH))
            if rows:
                run(connection, 'SELECT count(*) FROM pgmq.delete(%s, %s)',
                    (queue, [row[0] for row in rows]))
            return [row[1] for row in rows]
        return consume

    def consumer(self, connection, drain=0):
        return self._consumer(connection, 'q')

    def inside(self, connection, drain=0):
        run(connection, """
            CREATE OR REPLACE PROCEDURE drain_inside(size int, INOUT n bigint)
            LANGUAGE plpgsql AS $$
            DECLARE m bigint; ids bigint[];
            BEGIN
                n := 0;
                LOOP
                    SELECT count(message ->> 'amount'), array_agg(msg_id)
                        INTO m, ids FROM pgmq.read('q', 30, size);
                    EXIT WHEN m = 0;
                    PERFORM pgmq.delete('q', ids);
                    n := n + m;
                    COMMIT;
                END LOOP;
            END $$""")
        return value(connection, 'CALL drain_inside(%s, NULL)', (BATCH,))

    def fan_setup(self, connection, subscribers):
        self.empty(connection)

    def fan_publish(self, connection, batch, subscribers):
        for i in range(subscribers):
            self.publish(connection, batch, 'f%d' % i)

    def fan_consumer(self, connection, subscriber):
        return self._consumer(connection, 'f%d' % subscriber)

    def listen(self, mode, take, going_on):
        connection = self.connect()
        self.empty(connection)
        consume = self._consumer(connection, 'q',
                                 'pgmq.read_with_poll(%s, 30, %s, 1, 100)')
        yield
        while going_on():
            take(consume())
