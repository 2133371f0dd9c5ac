"""Private memory of the workers, sampled."""

import threading
import time


class Memory(threading.Thread):
    """Private memory of the workers, sampled: (least, most) of each kind in kB."""

    def __init__(self, torture):
        super().__init__(daemon=True)
        self.torture = torture
        self.seen = {}
        self.samples = []

    def run(self):
        while True:
            time.sleep(2)
            cluster = self.torture.cluster
            if cluster is None:
                continue
            for pid, title in cluster.children():
                for kind in ('executor', 'router', 'launcher'):
                    if 'event_engine ' + kind not in title:
                        continue
                    size = self.private(pid)
                    if size:
                        low, high = self.seen.get(kind, (size, size))
                        self.seen[kind] = (min(low, size), max(high, size))
                        self.samples.append((time.time(), kind, pid, size))

    @staticmethod
    def private(pid):
        try:
            with open('/proc/%d/status' % pid) as f:
                for line in f:
                    if line.startswith('RssAnon:'):
                        return int(line.split()[1])
        except (FileNotFoundError, ProcessLookupError):
            pass
        return None
