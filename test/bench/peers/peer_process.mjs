// What the programs of peers that are libraries for Node share: where they
// find these, and how they are told what to do: a JSON array a line, each
// answered by a line of JSON.  PEERS_NODE is where node_modules is.
import { createRequire } from 'node:module'
import fs from 'node:fs'
import path from 'node:path'
import readline from 'node:readline'

export const require = createRequire(path.join(process.env.PEERS_NODE, 'x.js'))
export const pg = require('pg')
export const server = { host: process.env.PGHOST, port: +(process.env.PGPORT || 5432), user: process.env.PGUSER || 'postgres', database: process.env.PGDATABASE }
export const clock = () => (performance.timeOrigin + performance.now()) / 1000
export const sleep = ms => new Promise(resolve => setTimeout(resolve, ms))

// looked at each so many milliseconds
export async function until (condition, seconds, pause) {
  for (const end = clock() + seconds; !(await condition());) {
    if (clock() > end) throw new Error('timed out')
    await sleep(pause)
  }
}

export function version (name) {
  const file = path.join(process.env.PEERS_NODE, 'node_modules', name, 'package.json')
  return JSON.parse(fs.readFileSync(file)).version
}

// until it is told to stop
export async function serve (commands) {
  for await (const line of readline.createInterface({ input: process.stdin })) {
    const [name, ...args] = JSON.parse(line)
    try {
      console.log(JSON.stringify({ ok: await commands[name](...args) ?? null }))
    } catch (error) {
      console.log(JSON.stringify({ error: String(error?.stack ?? error) }))
    }
    if (name === 'stop') process.exit(0)
  }
}
