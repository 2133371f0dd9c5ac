// Workflow engines that are libraries for Node (peer_process.mjs tells how
// they talk).  One process runs the workflows, another publishes their events.
//   node workflow_peers.mjs absurd|dbos
import fs from 'node:fs'
import { clock, pg, require, serve, server, sleep, until, version } from './peer_process.mjs'

const CONCURRENCY = 100
// how long a figure may take, and how often it is looked at
const SECONDS = 120
const PAUSE_MS = 20
const url = `postgresql://${server.user}@localhost/${server.database}?host=${server.host}&port=${server.port}`
const pool = new pg.Pool({ ...server, max: 20 })
const resumed = new Map()
const clients = []

async function number (sql, ...values) {
  return +Object.values((await pool.query(sql, values)).rows[0])[0]
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
    await until(async () => await number("SELECT count(*) FROM absurd.r_q WHERE state = 'sleeping'") >= keys.length, SECONDS, PAUSE_MS)
    await pool.query('VACUUM ANALYZE')
  }

  async publisher () {
    const client = new pg.Client(server)
    await client.connect()
    return { send: key => client.query({ name: 'e', text: "SELECT absurd.emit_event('q', $1, $2::jsonb)", values: ['paid:' + key, '{}'] }) }
  }

  async over (keys) {
    return await number("SELECT count(*) FROM absurd.t_q WHERE state = 'completed'") >= keys.length
  }
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
    return { send: key => client.send(key, { paid: true }, 'paid') }
  }

  async over (keys) {
    return await number("SELECT count(*) FROM dbos.workflow_status WHERE status = 'SUCCESS' AND workflow_uuid = ANY ($1)", keys) >= keys.length
  }
}

const peer = process.argv[2] === 'absurd' ? new AbsurdPeer() : new DbosPeer()
const commands = {
  // where workflows run
  start: file => peer.start(file),
  wait: keys => peer.wait(keys),
  // when each was resumed, and when all of them were over
  over: async keys => {
    await until(() => keys.every(key => resumed.has(key)), SECONDS, PAUSE_MS)
    await until(() => peer.over(keys), SECONDS, PAUSE_MS)
    return { resumed: keys.map(key => resumed.get(key)), over: clock() }
  },
  // where their events come from: each by itself; when it was sent
  publishers: async n => {
    for (let i = 0; i < n; i++) clients.push(await peer.publisher())
  },
  publish: async keys => {
    const sent = new Map()
    const left = [...keys]
    const begun = clock()
    await Promise.all(clients.map(async client => {
      for (let key; (key = left.pop()) !== undefined;) {
        await client.send(key)
        sent.set(key, clock())
      }
    }))
    return { begun, sent: keys.map(key => sent.get(key)) }
  },
  stop: () => null
}
await serve(commands)
