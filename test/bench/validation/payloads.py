"""Payloads for the three schemas, seeded, so that every run sees the same.

One in ten is invalid, always by a keyword other than format, so that whoever
leaves format out gives the same verdict.  Patterns use only what ECMA-262 and
PostgreSQL's regular expressions agree on, schemas only keywords that draft 4
to 2020-12 have in common.
"""
import copy
import json
import random

R = random.Random()
FIRST = ['Anna', 'Zoë', 'José', 'Mia', 'Łukasz', 'Omar', 'Priya', 'Wei', 'Noah', 'Søren', 'Aiko', 'Tom']
LAST = ['Müller', 'Smith', 'García', 'Nowak', 'Rossi', 'Okafor', 'Tanaka', 'Dubois', 'Larsen', 'Kim']
CITY = ['Köln', 'Paris', 'São Paulo', 'Oslo', 'Leeds', 'Graz', 'Lyon', 'Turku', 'Porto', 'Ghent']
STREET = ['Hauptstraße', 'Rue de la Paix', 'High Street', 'Storgata', 'Via Roma', 'Calle Mayor']
COUNTRY = ['DE', 'FR', 'BR', 'NO', 'GB', 'AT', 'FI', 'PT', 'BE', 'US']
WORD = 'fast slow red blue green deep light heavy solid soft round flat quiet loud plain fancy cotton steel oak glass'.split()


def hexs(n):
    return '%0*x' % (n, R.getrandbits(4 * n))


def digits(n):
    return ''.join(R.choice('0123456789') for _ in range(n))


def ts(z='Z'):
    return '20%02d-%02d-%02dT%02d:%02d:%02d%s' % (R.randint(18, 26), R.randint(1, 12), R.randint(1, 28), R.randint(0, 23), R.randint(0, 59), R.randint(0, 59), z)


def words(a, b):
    return ' '.join(R.choice(WORD) for _ in range(R.randint(a, b)))


def email():
    return '%s.%s%d@example.%s' % (R.choice(WORD), R.choice(WORD), R.randint(1, 9999), R.choice(['com', 'org', 'net']))


def small():
    u = hexs(32)
    return {'invoice_id': f'{u[:8]}-{u[8:12]}-4{u[13:16]}-a{u[17:20]}-{u[20:]}', 'customer_email': email(),
            'amount_cents': R.randint(0, 5000000), 'currency': R.choice(['EUR', 'USD', 'GBP', 'CHF', 'JPY']), 'issued_at': ts()}


def break_small(p):
    k = R.randint(0, 5)
    if k == 0:
        del p[R.choice(list(p))]
    elif k == 1:
        p['amount_cents'] = -R.randint(1, 100)
    elif k == 2:
        p['amount_cents'] = R.randint(1, 1000) + 0.5
    elif k == 3:
        p['currency'] = R.choice(['XXX', 'eur', ''])
    elif k == 4:
        p['surprise'] = True
    else:
        p[R.choice(['invoice_id', 'customer_email', 'issued_at'])] = R.choice([None, 12, ['a']])


def address():
    return {'street': '%s %d' % (R.choice(STREET), R.randint(1, 300)), 'city': R.choice(CITY), 'postcode': digits(5), 'country': R.choice(COUNTRY)}


def medium():
    items = []
    for _ in range(R.choice([1, 1, 2, 2, 3, 4, 5, 7, 10])):
        it = {'sku': ''.join(R.choice('ABCDEFGHJK') for _ in range(3)) + '-' + digits(R.randint(4, 6)), 'title': words(2, 5), 'quantity': R.randint(1, 9), 'unit_price_cents': R.randint(50, 90000)}
        if R.random() < .3:
            it['discount'] = R.choice([0, 0.05, 0.1, 0.25])
        if R.random() < .3:
            it['options'] = {'colour': R.choice(WORD), 'gift': R.random() < .5, 'size': R.randint(1, 60)}
        items.append(it)
    pay = R.choice([{'method': 'card', 'brand': R.choice(['visa', 'mastercard', 'amex']), 'last4': digits(4), 'auth_code': hexs(6)},
                    {'method': 'bank_transfer', 'iban': R.choice(COUNTRY) + digits(20)},
                    {'method': 'on_account', 'due_days': R.choice([14, 30, 60])}])
    p = {'order_id': 'ORD-' + digits(8), 'placed_at': ts(), 'channel': R.choice(['web', 'ios', 'android', 'store', 'partner']),
         'customer': {'customer_id': R.randint(1, 10**6), 'name': R.choice(FIRST) + ' ' + R.choice(LAST), 'email': email(), 'phone': R.choice([None, '+49' + digits(9)]), 'vip': R.random() < .1},
         'shipping_address': address(), 'items': items, 'payment': pay,
         'total_cents': sum(i['quantity'] * i['unit_price_cents'] for i in items)}
    if R.random() < .3:
        p['billing_address'] = address()
    if R.random() < .5:
        p['tags'] = R.sample(WORD, R.randint(1, 5))
    if R.random() < .4:
        p['metadata'] = {w: words(1, 3) for w in R.sample(WORD, R.randint(1, 4))}
    if R.random() < .5:
        p['note'] = R.choice([None, words(3, 20)])
    return p


def break_medium(p):
    k = R.randint(0, 10)
    it = R.choice(p['items'])
    if k == 0:
        del p[R.choice(['order_id', 'channel', 'customer', 'items', 'payment'])]
    elif k == 1:
        p['order_id'] = R.choice(['ORD-123', 'ord-12345678', 'ORD-123456789'])
    elif k == 2:
        p['items'] = []
    elif k == 3:
        it['quantity'] = R.choice([0, 1000, '3', 1.5])
    elif k == 4:
        it['sku'] = 'abc-1'
    elif k == 5:
        p['payment'] = {'method': 'card', 'iban': 'DE00'}
    elif k == 6:
        p['payment']['extra'] = 1
    elif k == 7:
        p['tags'] = ['oak', 'steel', 'oak']
    elif k == 8:
        p['metadata'] = {'depth': {'no': 'objects'}}
    elif k == 9:
        p['shipping_address']['country'] = R.choice(['Germany', 'de', ''])
    else:
        del it[R.choice(['sku', 'title', 'quantity', 'unit_price_cents'])]


def user():
    n = '%s-%s%d' % (R.choice(WORD), R.choice(WORD), R.randint(1, 999)) + R.choice(['', '', '', '[bot]'])
    b = 'https://code.example.com/'
    return {'login': n, 'id': R.randint(1, 10**8), 'node_id': 'U_' + hexs(12), 'avatar_url': b + 'avatars/u/%d?v=4' % R.randint(1, 10**8),
            'html_url': b + n, 'url': b + 'api/users/' + n, 'type': R.choice(['User', 'User', 'Bot']), 'site_admin': False}


def repo():
    o = user()
    n = R.choice(WORD) + '-' + R.choice(WORD)
    c = R.randint(0, 5000)
    return {'id': R.randint(1, 10**9), 'node_id': 'R_' + hexs(10), 'name': n, 'full_name': o['login'] + '/' + n, 'private': R.random() < .3, 'owner': o,
            'html_url': 'https://code.example.com/' + n, 'description': R.choice([None, words(4, 12)]), 'fork': R.random() < .2, 'created_at': ts(), 'updated_at': ts(), 'pushed_at': R.choice([None, ts()]),
            'homepage': None, 'size': c * 7, 'stargazers_count': c, 'watchers_count': c, 'forks_count': c // 9, 'open_issues_count': c // 20, 'language': R.choice([None, 'C', 'SQL', 'Go']),
            'archived': False, 'disabled': False, 'license': R.choice([None, {'key': 'mit', 'name': 'MIT License', 'spdx_id': 'MIT'}]), 'topics': R.sample(WORD, R.randint(0, 4)),
            'visibility': 'public', 'default_branch': 'main'}


def large():
    n = R.randint(1, 9999)
    b = 'https://code.example.com/o/r/pull/%d' % n
    base = repo()
    head = R.choice([None, repo()])
    merged = R.random() < .2
    pr = {'id': R.randint(1, 10**9), 'node_id': 'PR_' + hexs(12), 'url': b, 'html_url': b, 'number': n, 'state': 'closed' if merged else 'open', 'locked': False, 'title': words(3, 9), 'user': user(),
          'body': R.choice([None, words(5, 60)]), 'created_at': ts(), 'updated_at': ts(), 'closed_at': ts() if merged else None, 'merged_at': ts() if merged else None, 'merge_commit_sha': hexs(40) if merged else None,
          'assignees': [user() for _ in range(R.randint(0, 2))], 'requested_reviewers': [user() for _ in range(R.randint(0, 2))],
          'labels': [{'id': R.randint(1, 10**9), 'name': R.choice(WORD), 'color': hexs(6), 'default': False, 'description': R.choice([None, words(1, 4)])} for _ in range(R.randint(0, 3))],
          'milestone': R.choice([None, None, {'id': 7, 'number': 3, 'title': 'v1', 'state': 'open', 'creator': user(), 'open_issues': 4, 'closed_issues': 9, 'due_on': R.choice([None, ts()])}]),
          'draft': R.random() < .2, 'head': {'label': 'a:b', 'ref': words(1, 1), 'sha': hexs(40), 'user': R.choice([None, user()]), 'repo': head},
          'base': {'label': 'o:main', 'ref': 'main', 'sha': hexs(40), 'user': user(), 'repo': None},
          '_links': {k: {'href': b + '/' + k} for k in ('self', 'html', 'issue', 'commits')}, 'author_association': R.choice(['MEMBER', 'NONE', 'OWNER', 'CONTRIBUTOR']),
          'merged': merged, 'mergeable': R.choice([None, True, False]), 'comments': R.randint(0, 40), 'commits': R.randint(1, 30), 'additions': R.randint(0, 5000), 'deletions': R.randint(0, 5000), 'changed_files': R.randint(1, 60)}
    p = {'action': R.choice(['opened', 'closed', 'edited', 'labeled', 'synchronize']), 'number': n, 'pull_request': pr, 'repository': base, 'sender': user()}
    if R.random() < .3:
        p['organization'] = {'login': 'org', 'id': 12, 'url': 'https://code.example.com/org', 'description': None}
    if R.random() < .3:
        p['installation'] = {'id': R.randint(1, 10**7)}
    if p['action'] == 'edited':
        p['changes'] = {'title': {'from': words(2, 6)}}
    return p


def break_large(p):
    k = R.randint(0, 9)
    pr = p['pull_request']
    if k == 0:
        del p[R.choice(['action', 'number', 'repository', 'sender'])]
    elif k == 1:
        p['action'] = 'exploded'
    elif k == 2:
        pr['head']['sha'] = 'zz'
    elif k == 3:
        pr['user']['login'] = 'no spaces allowed'
    elif k == 4:
        pr['labels'].append({'id': 1, 'name': 'x', 'color': 'GREEN', 'default': False})
    elif k == 5:
        p['repository']['owner']['id'] = '17'
    elif k == 6:
        del pr['base']['ref']
    elif k == 7:
        p['repository']['topics'] = ['db', 'db']
    elif k == 8:
        pr['merged_at'] = 'yesterday'
    else:
        p['sender']['unknown'] = 1


def break_last(kind, p):
    """A mistake in what lies last, jsonb having sorted the keys."""
    if kind == 'small':
        p['customer_email'] = 12
    elif kind == 'medium':
        p['shipping_address']['postcode'] = '?'
    else:
        p['pull_request']['author_association'] = 'NOBODY'


def broken(kind, how, n):
    """n texts of invalid payloads: with 'one' mistake anywhere, 'three', or one at the 'last' place."""
    R.seed(kind + ' broken')
    for _ in range(n):
        while True:
            payload = globals()[kind]()
            try:
                if how == 'last':
                    break_last(kind, payload)
                else:
                    for _ in range({'one': 1, 'three': 3}[how]):
                        globals()['break_' + kind](payload)
                break
            except (KeyError, IndexError, TypeError):   # broken where it was broken before
                pass
        yield text(payload)


def text(payload):
    return json.dumps(payload, ensure_ascii=False, separators=(',', ':'))


def payloads(kind, n):
    """n pairs of verdict and text."""
    R.seed(kind + ' 1')
    for _ in range(n):
        payload = globals()[kind]()
        valid = R.random() >= .1
        if not valid:
            payload = copy.deepcopy(payload)
            globals()['break_' + kind](payload)
        yield valid, text(payload)
