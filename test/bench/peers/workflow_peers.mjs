// Workflow engines that are libraries for Node: reads commands, a JSON array a
// line, and answers each with a line of JSON.
//   node workflow_peers.mjs absurd|dbos     (PEERS_NODE: where node_modules is)
import { createRequire } from 'node:module'
import fs from 'node:fs'
import path from 'node:path'
import readline from 'node:readline'

const require = createRequire(path.join(process.env.PEERS_NODE, 'x.js'))
const pg = require('pg')

const CONCURRENCY = 100
const server = { host: process.env.PGHOST, port: +(process.env.PGPORT || 5432), user: process.env.PGUSER || 'postgres', database: process.env.PGDATABASE }
const url = `postgresql://${server.user}@localhost/${server.database}?host=${server.host}&port=${server.port}`
const clock = () => (performance.timeOrigin + performance.now()) / 1000
const sleep = ms => new Promise(resolve => setTimeout(resolve, ms))
const pool = new pg.Pool({ ...server, max: 20 })
const resumed = new Map()

async function number (sql, ...values) {
  return +Object.values((await pool.query(sql, values)).rows[0])[0]
}
async function until (condition, seconds = 120) {
  for (const end = clock() + seconds; !(await condition());) {
    if (clock() > end) throw new Error('timed out')
    await sleep(20)
  }
}
function version (name) {
  const file = path.join(process.env.PEERS_NODE, 'node_modules', name, 'package.json')
  return JSON.parse(fs.readFileSync(file)).version
}

class AbsurdPeer {
  async start (file) {
    const { Absurd } = require('absurd-sdk')
    await pool.query(fs.readFileSync(file, 'utf8'))
    await pool.query("SELECT absurd.create_queue('q')")
    this.app = new Absurd({ db: pool, queueName: 'q' })
    this.app.registerTask({ name: 't' }, async (input, context) => {
      await context.awaitEvent('paid:' + input.key, { stepName: 'w' })
      resumed.set(input.key, clock())
      return null
    })
    await this.app.startWorker({ concurrency: CONCURRENCY, claimTimeout: 600, pollInterval: 0.02 })
    return version('absurd-sdk')
  }

  async wait (keys) {
    await pool.query("SELECT count(*) FROM unnest($1::text[]) AS k, LATERAL absurd.spawn_task('q', 't', jsonb_build_object('key', k))", [keys])
    await until(async () => await number("SELECT count(*) FROM absurd.r_q WHERE state = 'sleeping'") >= keys.length)
    await pool.query('VACUUM ANALYZE')
    this.before = await this.completed()
  }

  completed () { return number("SELECT count(*) FROM absurd.t_q WHERE state = 'completed'") }
  async publisher () {
    const client = new pg.Client(server)
    await client.connect()
    return {
      send: key => client.query({ name: 'e', text: "SELECT absurd.emit_event('q', $1, $2::jsonb)", values: ['paid:' + key, '{}'] }),
      end: () => client.end()
    }
  }

  async over (keys) { return await this.completed() - this.before >= keys.length }
}

class DbosPeer {
  async start () {
    const { DBOS } = require('@dbos-inc/dbos-sdk')
    this.dbos = DBOS
    DBOS.setConfig({ name: 'bench', systemDatabaseUrl: url, systemDatabasePoolSize: 20, logLevel: 'error' })
    this.workflow = DBOS.registerWorkflow(async key => {
      if (await DBOS.recv('paid', 3600)) resumed.set(key, clock())
      return null
    }, { name: 'workflow' })
    await DBOS.launch()
    return version('@dbos-inc/dbos-sdk')
  }

  async wait (keys) {
    for (let i = 0; i < keys.length; i += 100) {
      await Promise.all(keys.slice(i, i + 100).map(key => this.dbos.startWorkflow(this.workflow, { workflowID: key })(key)))
    }
    await sleep(3000)
    await pool.query('VACUUM ANALYZE')
  }

  async publisher () {
    const { DBOSClient } = require('@dbos-inc/dbos-sdk')
    const client = await DBOSClient.create({ systemDatabaseUrl: url })
    return { send: key => client.send(key, { paid: true }, 'paid'), end: () => client.destroy() }
  }

  async over (keys) {
    return await number("SELECT count(*) FROM dbos.workflow_status WHERE status = 'SUCCESS' AND workflow_uuid = ANY ($1)", keys) >= keys.length
  }
}

const peer = process.argv[2] === 'absurd' ? new AbsurdPeer() : new DbosPeer()
const commands = {
  start: file => peer.start(file),
  // each event by itself; from the first one to the end of the last workflow
  resume: async (instances, publishers, round) => {
    const keys = Array.from({ length: instances }, (_, i) => `k${round}-${publishers}-${i}`)
    await peer.wait(keys)
    const clients = await Promise.all(Array.from({ length: publishers }, () => peer.publisher()))
    const sent = new Map()
    const left = [...keys]
    const begun = clock()
    await Promise.all(clients.map(async client => {
      for (let key; (key = left.pop()) !== undefined;) {
        await client.send(key)
        sent.set(key, clock())
      }
    }))
    await until(() => keys.every(key => resumed.has(key)))
    await until(() => peer.over(keys))
    const took = clock() - begun
    for (const client of clients) await client.end()
    const delays = keys.map(key => (resumed.get(key) - sent.get(key)) * 1000).sort((a, b) => a - b)
    return { rate: instances / took, p50: delays[delays.length >> 1], p99: delays[Math.floor(delays.length * 0.99)] }
  },
  stop: () => null
}
for await (const line of readline.createInterface({ input: process.stdin })) {
  const [name, ...args] = JSON.parse(line)
  try {
    console.log(JSON.stringify({ ok: await commands[name](...args) ?? null }))
  } catch (error) {
    console.log(JSON.stringify({ error: String(error?.stack ?? error) }))
  }
  if (name === 'stop') process.exit(0)
}
