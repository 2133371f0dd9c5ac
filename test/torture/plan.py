"""What happens in a round: made of seed and number alone."""

import random

VARIANTS = ['plain', 'snapshot', 'prepared', 'standby', 'restore']
# where a debug build can be made to fail or die
POINTS = [
    'delivery_before_handler', 'delivery_after_handler', 'delivery_before_move',
    'delivery_before_commit', 'delivery_after_commit', 'delivery_after_abort',
    'delivery_before_settle', 'delivery_after_settle', 'retry_before_commit',
    'retry_after_abort', 'retry_before_settle', 'delivery_after_array', 'group_before_release',
    'group_after_failure', 'group_settled', 'cursor_gathering', 'cursor_gathered',
    'pull_after_read', 'pull_leased', 'pull_acknowledged', 'session_before_call',
    'session_after_call', 'store_after_append', 'store_before_commit', 'store_after_commit',
    'milestone_stored', 'partition_created', 'partition_sealed', 'guard_counted', 'guard_taken',
    'workflow_batch_begun', 'workflow_matched', 'workflow_before_step', 'workflow_before_handler',
    'workflow_after_handler', 'workflow_before_move', 'workflow_before_commit', 'workflow_after_abort',
    'workflow_step_failed', 'workflow_attempt_counted', 'timer_found', 'timer_before_commit',
]
# rounds until a new server takes the place of the old one
LIFE = 8


class Plan:
    """The accidents of a round, and when."""

    def __init__(self, seed, number, variant=None, calm=False, seconds=None, steady=False,
                 points=True):
        rng = random.Random('%s/round/%d' % (seed, number))
        self.number = number
        self.variant = variant or (rng.choice(VARIANTS) if number % LIFE != 1 else 'plain')
        self.seconds = seconds or rng.uniform(18, 32)
        self.publishers = rng.randint(3, 5)
        self.pullers = rng.choice([4, 4, 8])
        self.administrators = rng.choice([1, 2])
        self.conductors = rng.choice([1, 2, 3])
        if steady:
            self.publishers, self.pullers, self.administrators = 1, 4, 1
        self.accidents = []
        at = rng.uniform(1, 3)
        while not calm and at < self.seconds:
            what = self.accident(rng)
            while what[0] == 'point' and not points:
                what = self.accident(rng)
            self.accidents.append((at, what))
            at += rng.uniform(0.2, 1) if rng.random() < 0.2 else rng.uniform(1, 4)

    @staticmethod
    def accident(rng):
        what = rng.random()
        if what < 0.32:
            point = rng.choice(POINTS)
            how = rng.choice(['kill', 'kill', 'fatal', 'error', 'terminate'])
            # what has committed cannot fail any more
            return ('point', point, 'kill' if point == 'store_after_commit' else how, rng.choice([1, 1, 2, 5, 20]))
        if what < 0.60:
            return ('signal', rng.choice(['executor', 'executor', 'router', 'launcher']),
                    rng.choice(['KILL', 'KILL', 'TERM', 'TERM', 'INT', 'STOP']))
        if what < 0.70:
            return ('signal', 'client', rng.choice(['KILL', 'TERM', 'TERM']))
        if what < 0.85:
            return ('client', rng.choice(['publisher', 'puller', 'puller', 'administrator', 'conductor']), 'KILL')
        if what < 0.91:
            return ('stop', 'immediate')
        if what < 0.94:
            return ('stop', 'fast')
        if what < 0.955:
            return ('pressure', rng.choice([10, 100, 500]))
        if what < 0.975:
            return ('postmaster',)
        return ('signal', rng.choice(['checkpointer', 'walwriter', 'background writer']), 'KILL')

    def __str__(self):
        return '%s, %.0f s, %d publishers, %d pullers, %d administrators, %d conductors, %d accidents' % (
            self.variant, self.seconds, self.publishers, self.pullers, self.administrators, self.conductors,
            len(self.accidents))
