"""Measures event_engine beside its peers, on the server that PGHOST names.

    python3 test/bench/peers/run.py
        [--only publish,pull,fanout,latency,held,workflows]
        [--peers event_engine,pgq,...] [--rounds 3] [--held 60]
        [--instances 10000] [--node DIR] [--pgq] [--sql DIR]

DIR of --node holds node_modules of package.json; DIR of --sql may hold
pgmq.sql, pgque.sql and absurd.sql.  What is not there is left out, and said.
"""
import argparse
import os
import sys
import time

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

import psycopg2.extras  # noqa: E402

import measures  # noqa: E402
import workflow_peers  # noqa: E402
from common import connect, flush_ms, median  # noqa: E402
from node_peers import NodePeer, node_peers  # noqa: E402
from peers import EventEngine, PgQ, PgQue, Pgmq, SkipLocked  # noqa: E402

OURS = 'event_engine'


class Table:
    """Rounds of peers, by turns; medians, and our ratio to each."""

    def __init__(self):
        self.rows = []

    def measure(self, title, peers, rounds, function, form='{:,.0f}',
                less_is_better=False):
        results = {}
        for i in range(rounds):
            for peer in peers if i % 2 == 0 else list(reversed(peers)):
                got = function(peer, i)
                if got is not None:
                    results.setdefault(peer.name, []).append(got)
        self.add(title, results, form, less_is_better)

    def add(self, title, results, form='{:,.0f}', less_is_better=False):
        print('\n== ' + title, flush=True)
        ours = results.get(OURS)
        for name, values in results.items():
            ratio = ''
            if ours and name != OURS:
                pairs = [b / a if less_is_better else a / b
                         for a, b in zip(ours, values)]
                ratio = 'event_engine is %.2f times as good' % median(pairs)
            print('   %-34s %12s   (%s to %s)  %s' %
                  (name, form.format(median(values)), form.format(min(values)),
                   form.format(max(values)), ratio), flush=True)


def choose(options):
    found = [EventEngine(), SkipLocked()]
    missing = []
    if options.pgq:
        found.append(PgQ())
    else:
        missing.append('pgq')
    for name, peer in (('pgmq', Pgmq), ('pgque', PgQue)):
        file = os.path.join(options.sql or '', name + '.sql')
        if options.sql and os.path.exists(file):
            found.append(peer(file))
        else:
            missing.append(name)
    if options.node:
        found += node_peers(options.node)
    else:
        missing.append('pg_boss, graphile_worker')
    if missing:
        print('   not here: ' + ', '.join(missing))
    wanted = options.peers.replace(',', ' ').split()
    return [peer for peer in found if not wanted or peer.name in wanted]


def publishing(table, peers, options):
    seconds = 2
    for clients in (1, 8):
        table.measure('publish, one event a transaction, %d client%s, events/s'
                      % (clients, 's' * (clients > 1)), peers, options.rounds,
                      lambda peer, _, c=clients:
                      measures.publish(peer, c, seconds))


def pulling(table, peers, options):
    # the log and PgQ keep what is consumed: one backlog, a subscriber a round
    rounds = options.rounds
    kept = [peer for peer in peers
            if not isinstance(peer, NodePeer) and not peer.copies]
    for peer in kept:
        measures.fill(peer, 5 * rounds)

    def once(function, kind, peer, i, *args):
        if peer not in kept:
            measures.fill(peer, 1)
        return function(peer, kind * rounds + i, *args)

    for kind, clients in enumerate((1, 2)):
        table.measure('pull, batches of 1,000, acknowledged, %d client%s, events/s'
                      % (clients, 's' * (clients > 1)),
                      [peer for peer in peers if clients == 1 or peer.shares],
                      rounds, lambda peer, i, k=kind, c=clients:
                      once(measures.pull, k, peer, i, c))
    for kind, clients in enumerate((1, 2), 3):
        table.measure('the same by a client in C, %d client%s, events/s'
                      % (clients, 's' * (clients > 1)),
                      [peer for peer in peers if not isinstance(peer, NodePeer)
                       and peer.statements(0) is not None
                       and (clients == 1 or peer.shares)],
                      rounds, lambda peer, i, k=kind, c=clients:
                      once(measures.pull_in_c, k, peer, i, c))
    table.measure('the same by a procedure in the server, one member of the payload read, events/s',
                  [peer for peer in peers if not isinstance(peer, NodePeer)
                   and peer.inside is not None], rounds,
                  lambda peer, i: once(measures.inside, 2, peer, i))
    table.measure('a handler called for each event, events/s',
                  [peer for peer in peers if hasattr(peer, 'handled')
                   or peer.name == 'graphile_worker'], rounds,
                  lambda peer, i: once(measures.handled, 0, peer, i))


def fanout(table, peers, options):
    table.measure('10 consumers of every event, publishing included, deliveries/s',
                  peers, options.rounds, lambda peer, _: measures.fan_out(peer))


def latency(table, peers, options):
    p50, p99 = {}, {}
    modes = [(peer, mode) for peer in peers for mode in peer.latency_modes]
    for i in range(options.rounds):
        for peer, mode in modes if i % 2 == 0 else reversed(modes):
            a, b = measures.latency(peer, mode)
            name = peer.name if mode == 'handler' else \
                '%s, %s' % (peer.name, mode)
            p50.setdefault(name, []).append(a)
            p99.setdefault(name, []).append(b)
    for title, results in (('p50', p50), ('p99', p99)):
        table.add("publisher's call to consumer, one event each 10 ms, %s, ms"
                  % title, results, '{:,.2f}', True)


def held(table, peers, options):
    print('\n== a snapshot held for %d s at 1,000 events/s, pulled in batches'
          % options.held)
    for peer in peers:
        got = measures.held(peer, options.held)
        if got:
            print('   %-34s consumed %.2f of what is published at the end, a call'
                  ' takes %.1f times as long as at first, %d dead rows' %
                  ((peer.name,) + got), flush=True)


def workflows(table, _, options):
    workflow_peers.measure(table, options)


FIGURES = {'publish': publishing, 'pull': pulling, 'fanout': fanout,
           'latency': latency, 'held': held, 'workflows': workflows}


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument('--only', default='publish,pull,fanout,latency')
    parser.add_argument('--peers', default='')
    parser.add_argument('--rounds', type=int, default=3)
    parser.add_argument('--instances', type=int, default=10000)
    parser.add_argument('--held', type=int, default=60)
    parser.add_argument('--node')
    parser.add_argument('--pgq', action='store_true')
    parser.add_argument('--sql')
    options = parser.parse_args()
    # payloads as the server sends them: no client pays for parsing
    psycopg2.extras.register_default_jsonb(globally=True, loads=lambda x: x)

    table = Table()
    admin = connect('postgres')
    peers = choose(options)
    try:
        for peer in peers:
            peer.create()
        print('   PostgreSQL %s, %d cores, load %.1f, a commit takes %.2f ms' %
              (measures.server_version(), os.cpu_count(), os.getloadavg()[0],
               flush_ms(admin)))
        print('   ' + ', '.join('%s %s' % (peer.name, peer.version)
                                for peer in peers))
        for name in options.only.replace(',', ' ').split():
            if name not in FIGURES:
                sys.exit('error: there is no figure "%s"; there are %s' %
                         (name, ', '.join(FIGURES)))
            begun = time.monotonic()
            FIGURES[name](table, peers, options)
            print('   in %.0f s; load %.1f, a commit takes %.2f ms' %
                  (time.monotonic() - begun, os.getloadavg()[0],
                   flush_ms(admin)), flush=True)
    finally:
        for peer in peers:
            if isinstance(peer, NodePeer):
                peer.stop()


if __name__ == '__main__':
    main()
