"""What is measured.  Each function does one round of one peer and gives a
number, or None where the peer has no such thing."""
import multiprocessing
import os
import re
import subprocess
import time

from common import connect, payload, percentile, pgbench, run, value
from node_peers import NodePeer
from peers import BATCH, texts

BACKLOG = 50000
NODE_BACKLOG = 10000
FAN_EVENTS = 10000
SUBSCRIBERS = 10
LATENCY_EVENTS = 300
LATENCY_GAP = 0.01
NUMBER = re.compile(r'"n": ?(\d+)')


def publish(peer, clients, seconds):
    """Events a second, one event a transaction."""
    if peer.publish_sql:
        return pgbench(peer.publish_sql, clients, seconds, peer.database)
    return peer.call('publish_rate', clients, seconds)


# ------------------------------------------------------------------- backlogs

def fill(peer, drains):
    if isinstance(peer, NodePeer):
        peer.call('fill', NODE_BACKLOG)
        return
    connection = peer.connect()
    run(connection, 'SET synchronous_commit = off')
    peer.fill(connection, BACKLOG, drains)
    connection.close()


def worker(peer, drain, barrier, count, results):
    connection = peer.connect()
    consume = peer.consumer(connection, drain)
    barrier.wait()
    while count.value < BACKLOG:
        got = consume()
        if got:
            with count.get_lock():
                count.value += len(got)
        elif got is not None:
            time.sleep(0.001)
    results.put(time.monotonic())


def pull(peer, drain, clients):
    """Events a second that clients get and acknowledge, in batches of 1,000."""
    if clients > 1 and not peer.shares:
        return None
    if isinstance(peer, NodePeer):
        return peer.call('drain', NODE_BACKLOG, clients)
    barrier = multiprocessing.Barrier(clients + 1)
    count = multiprocessing.Value('q', 0)
    results = multiprocessing.Queue()
    processes = [multiprocessing.Process(target=worker,
                                         args=(peer, drain, barrier, count,
                                               results))
                 for _ in range(clients)]
    for process in processes:
        process.start()
    barrier.wait()
    begun = time.monotonic()
    ended = max(results.get() for _ in processes)
    for process in processes:
        process.join()
    assert count.value == BACKLOG, count.value
    return BACKLOG / (ended - begun)


def pull_in_c(peer, drain, clients):
    """The same by clients in C, which look at each value and do no more."""
    counted, statements = peer.statements(drain)
    program = os.path.join(os.environ.get('BENCH_BUILD', 'build'), 'bench_pull')
    processes = [subprocess.Popen([program, peer.database, '0', str(counted)] +
                                  list(statements), stdout=subprocess.PIPE)
                 for _ in range(clients)]
    results = [process.communicate()[0].split() for process in processes]
    assert sum(int(result[0]) for result in results) == BACKLOG, results
    return BACKLOG / max(float(result[1]) for result in results)


def inside(peer, drain):
    """The same where the consumer is a procedure in the server."""
    if isinstance(peer, NodePeer) or peer.inside is None:
        return None
    connection = peer.connect()
    begun = time.monotonic()
    n = peer.inside(connection, drain)
    ended = time.monotonic()
    connection.close()
    assert n == BACKLOG, n
    return BACKLOG / (ended - begun)


def handled(peer, drain):
    """By what calls a handler for each event."""
    if isinstance(peer, NodePeer):
        return peer.call('drain', NODE_BACKLOG, 1)
    if not hasattr(peer, 'handled'):
        return None
    connection = peer.connect()
    rate = peer.handled(connection, drain, BACKLOG)
    connection.close()
    return rate


# -------------------------------------------------------------------- fan-out

def fan_worker(peer, subscriber, barrier, results):
    connection = peer.connect()
    consume = peer.fan_consumer(connection, subscriber)
    barrier.wait()
    got = 0
    while got < FAN_EVENTS:
        batch = consume()
        got += len(batch or [])
        if batch == []:
            time.sleep(0.01)
    results.put(time.monotonic())


def fan_out(peer):
    """Deliveries a second to ten consumers, publishing included."""
    if isinstance(peer, NodePeer):
        peer.call('empty')
        return peer.call('fan_out', FAN_EVENTS // 2, SUBSCRIBERS)
    connection = peer.connect()
    peer.fan_setup(connection, SUBSCRIBERS)
    run(connection, 'CHECKPOINT')
    barrier = multiprocessing.Barrier(SUBSCRIBERS + 1)
    results = multiprocessing.Queue()
    processes = [multiprocessing.Process(target=fan_worker,
                                         args=(peer, i, barrier, results))
                 for i in range(SUBSCRIBERS)]
    for process in processes:
        process.start()
    batches = [texts(BATCH, i) for i in range(0, FAN_EVENTS, BATCH)]
    with peer.ticking('fan'):
        barrier.wait()
        begun = time.monotonic()
        for batch in batches:
            peer.fan_publish(connection, batch, SUBSCRIBERS)
        ended = max(results.get() for _ in processes)
    for process in processes:
        process.join()
    connection.close()
    return FAN_EVENTS * SUBSCRIBERS / (ended - begun)


# -------------------------------------------------------------------- latency

def publisher(peer, n, gap, start, results):
    connection = peer.connect()
    called = []
    for i in range(n):
        time.sleep(max(0, start + i * gap - time.time()))
        called.append(time.time())
        peer.publish_one(connection, payload(i))
    results.put(called)


def latency(peer, mode):
    """Milliseconds from the publisher's call to the consumer: p50, p99."""
    if isinstance(peer, NodePeer):
        took = peer.call('latency', LATENCY_EVENTS, LATENCY_GAP)
        return percentile(took, 0.5), percentile(took, 0.99)
    arrived = {}

    def take(got, at=None):
        at = at or time.time()
        for event in got:
            n = event if isinstance(event, int) else \
                event['n'] if isinstance(event, dict) else \
                int(NUMBER.search(event)[1])
            arrived.setdefault(n, at)

    deadline = time.time() + 60
    listening = peer.listen(mode, take, lambda: len(arrived) < LATENCY_EVENTS
                            and time.time() < deadline)
    next(listening)
    results = multiprocessing.Queue()
    process = multiprocessing.Process(target=publisher,
                                      args=(peer, LATENCY_EVENTS, LATENCY_GAP,
                                            time.time() + 0.5, results))
    process.start()
    for _ in listening:
        pass
    called = results.get()
    process.join()
    took = [(arrived[n] - called[n]) * 1000 for n in arrived]
    assert len(took) == LATENCY_EVENTS, len(took)
    return percentile(took, 0.5), percentile(took, 0.99)


# -------------------------------------------------------------- held snapshot

def steady_publisher(peer, rate, start, seconds, count):
    connection = peer.connect()
    n = 0
    while time.monotonic() < start + seconds:
        time.sleep(max(0, start + n / rate - time.monotonic()))
        peer.publish_one(connection, payload(n))
        n += 1
        count.value = n


def steady_consumer(peer, start, seconds, count, busy):
    connection = peer.connect()
    consume = peer.consumer(connection)
    while time.monotonic() < start + seconds:
        begun = time.monotonic()
        got = consume()
        busy.value = 0.9 * busy.value + 0.1 * (time.monotonic() - begun)
        if got:
            count.value += len(got)
        else:
            time.sleep(0.01)


def held(peer, seconds, rate=1000):
    """Published and consumed while a snapshot is held: the share of what is
    published that is consumed in the last quarter, what a call of the
    consumer takes then over what it took in the first, dead rows."""
    if isinstance(peer, NodePeer):
        return None
    connection = peer.connect()
    peer.fill(connection, 0, 1)
    run(connection, 'VACUUM')
    before = peer.dead_rows(connection)
    holder = connect(peer.database, autocommit=False)
    holder.set_session(isolation_level='REPEATABLE READ')
    run(holder, 'SELECT count(*) FROM pg_class')
    published = multiprocessing.Value('q', 0)
    consumed = multiprocessing.Value('q', 0)
    busy = multiprocessing.Value('d', 0)
    start = time.monotonic() + 0.3
    processes = [
        multiprocessing.Process(target=steady_publisher,
                                args=(peer, rate, start, seconds, published)),
        multiprocessing.Process(target=steady_consumer,
                                args=(peer, start, seconds + 1, consumed,
                                      busy))]
    with peer.ticking('held'):
        for process in processes:
            process.start()
        marks = []
        for part in (0.25, 0.75, 1):
            time.sleep(max(0, start + part * seconds - time.monotonic()))
            marks.append((published.value, consumed.value, busy.value))
        for process in processes:
            process.join()
    time.sleep(1.5)             # statistics are reported once a second
    dead = peer.dead_rows(connection) - before
    holder.rollback()
    first, third, last = marks
    return ((last[1] - third[1]) / max(1, last[0] - third[0]),
            last[2] / max(first[2], 1e-6), dead)


def server_version():
    return value(connect('postgres'), 'SHOW server_version').split()[0]
