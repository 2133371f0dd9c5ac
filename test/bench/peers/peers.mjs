// The peers that are libraries for Node (peer_process.mjs tells how they talk).
//   node peers.mjs pg_boss|graphile_worker
import { clock, pg, require, serve, server, sleep, until, version } from './peer_process.mjs'

const BATCH = 1000
// how long a figure may take, and how often it is looked at
const SECONDS = 60
const PAUSE_MS = 2

function payload (n) {
  return {
    n, invoice_id: 'inv_8f14e45fceea167a', customer_id: 'cus_c9f0f895fb98ab91', amount: 129900,
    currency: 'EUR', status: 'open', due_date: '2025-12-31',
    lines: [{ sku: 'PRO-YEARLY', qty: 1, unit: 129900 }],
    created_by: 'user_45c48cce2e2d7fbd', note: 'annual plan'
  }
}
const batchOf = first => Array.from({ length: BATCH }, (_, i) => payload(first + i))

// ---- pg-boss: batches are fetched and completed; queues by subscription
class PgBossPeer {
  async start () {
    const { PgBoss } = require('pg-boss')
    this.boss = new PgBoss({ ...server, supervise: false, schedule: false, max: 10 })
    this.boss.on('error', error => console.error(error))
    await this.boss.start()
    for (const name of ['q', ...Array.from({ length: 10 }, (_, i) => 'f' + i)]) await this.boss.createQueue(name)
    await this.boss.createQueue('bell', { notify: true })
    return version('pg-boss')
  }

  async empty () {
    for (const name of ['q', 'bell', ...Array.from({ length: 10 }, (_, i) => 'f' + i)]) await this.boss.deleteAllJobs(name)
  }

  publishOne (n, queue = 'q') { return this.boss.send(queue, payload(n)) }
  publish (first, queue = 'q') { return this.boss.insert(queue, batchOf(first).map(data => ({ data }))) }

  async drainOne (queue, going) {
    while (going()) {
      const jobs = await this.boss.fetch(queue, { batchSize: BATCH })
      if (jobs.length === 0) { await sleep(1); continue }
      await this.boss.complete(queue, jobs.map(job => job.id))
      this.done += jobs.length
    }
  }

  async drain (events, clients) {
    this.done = 0
    const begun = clock()
    await Promise.all(Array.from({ length: clients }, () => this.drainOne('q', () => this.done < events)))
    return events / (clock() - begun)
  }

  async fanOut (events, subscribers) {
    this.done = 0
    const begun = clock()
    const consumers = Array.from({ length: subscribers }, (_, i) => this.drainOne('f' + i, () => this.done < events * subscribers))
    for (let first = 0; first < events; first += BATCH) {
      await Promise.all(Array.from({ length: subscribers }, (_, i) => this.publish(first, 'f' + i)))
    }
    await Promise.all(consumers)
    return events * subscribers / (clock() - begun)
  }

  // as quick as it can be: woken by NOTIFY
  async listen (take) {
    const { PgBoss } = require('pg-boss')
    this.worker = new PgBoss({ ...server, supervise: false, schedule: false, max: 4, useListenNotify: true })
    this.worker.on('error', error => console.error(error))
    await this.worker.start()
    await this.worker.work('bell', { batchSize: 100, burstWhenBatchFull: true }, async jobs => { for (const job of jobs) take(job.data.n) })
    return 'bell'
  }

  unlisten () { return this.worker.stop({ graceful: false }) }
  stop () { return this.boss.stop({ graceful: false }) }
}

// ---- graphile-worker: workers run tasks; a local queue takes jobs in batches
class GraphilePeer {
  async start () {
    const { makeWorkerUtils } = require('graphile-worker')
    this.pool = new pg.Pool({ ...server, max: 10 })
    this.pool.on('error', () => {})
    this.pool.on('connect', client => client.on('error', () => {}))
    this.utils = await makeWorkerUtils({ pgPool: this.pool, logger: this.logger() })
    await this.utils.migrate()
    // on a table that was never analyzed its plans are those for an empty one
    await this.publish(0)
    await this.publish(0)
    await this.pool.query('ANALYZE')
    await this.empty()
    return version('graphile-worker')
  }

  logger () {
    const { Logger } = require('graphile-worker')
    return new Logger(() => () => {})
  }

  empty () { return this.pool.query('TRUNCATE graphile_worker._private_jobs') }
  publishOne (n) { return this.utils.addJob('t', payload(n)) }
  publish (first, task = 't') { return this.utils.addJobs(batchOf(first).map(data => ({ identifier: task, payload: data }))) }

  run (taskList) {
    const { run } = require('graphile-worker')
    return run({
      pgPool: this.pool, taskList, noHandleSignals: true, logger: this.logger(),
      preset: { worker: { concurrentJobs: 24, localQueue: { size: 500 }, completeJobBatchDelay: 0, failJobBatchDelay: 0 } }
    })
  }

  async nothingLeft () {
    return +(await this.pool.query('SELECT count(*) AS n FROM graphile_worker._private_jobs')).rows[0].n === 0
  }

  async drain (events) {
    const begun = clock()
    let done = 0
    const runner = await this.run({ t: async () => { done++ } })
    await until(() => done >= events, SECONDS, PAUSE_MS)
    await until(() => this.nothingLeft(), SECONDS, PAUSE_MS)
    const rate = events / (clock() - begun)
    await runner.stop()
    return rate
  }

  async fanOut (events, subscribers) {
    let done = 0
    const tasks = Object.fromEntries(Array.from({ length: subscribers }, (_, i) => ['f' + i, async () => { done++ }]))
    const begun = clock()
    const runner = await this.run(tasks)
    for (let first = 0; first < events; first += BATCH) {
      for (let i = 0; i < subscribers; i++) await this.publish(first, 'f' + i)
    }
    await until(() => done >= events * subscribers, SECONDS, PAUSE_MS)
    const rate = events * subscribers / (clock() - begun)
    await runner.stop()
    return rate
  }

  async listen (take) {
    this.runner = await this.run({ t: async job => { take(job.n) } })
  }

  unlisten () { return this.runner.stop() }
  async stop () { await this.utils.release() }
}

const peer = process.argv[2] === 'pg_boss' ? new PgBossPeer() : new GraphilePeer()
const commands = {
  start: () => peer.start(),
  empty: () => peer.empty(),
  fill: async events => {
    await peer.empty()
    for (let first = 0; first < events; first += BATCH) await peer.publish(first)
  },
  publish_rate: async (clients, seconds) => {
    await peer.publishOne(0)
    const begun = clock()
    let n = 0
    await Promise.all(Array.from({ length: clients }, async () => {
      while (clock() < begun + seconds) { await peer.publishOne(n); n++ }
    }))
    return n / (clock() - begun)
  },
  drain: (events, clients) => peer.drain(events, clients),
  fan_out: (events, subscribers) => peer.fanOut(events, subscribers),
  latency: async (events, gap) => {
    await peer.empty()
    const took = []
    const called = []
    const queue = await peer.listen(n => { took.push((clock() - called[n]) * 1000) })
    await sleep(500)
    const begun = clock()
    for (let n = 0; n < events; n++) {
      const early = begun + n * gap - clock()
      if (early > 0) await sleep(early * 1000)
      called[n] = clock()
      await peer.publishOne(n, queue)
    }
    await until(() => took.length >= events, SECONDS, PAUSE_MS)
    await peer.unlisten()
    return took
  },
  stop: () => peer.stop()
}
await serve(commands)
