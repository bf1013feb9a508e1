// SPDX-License-Identifier: MIT
//
// Our end with another implementation's:  node interop.js <program> <kind> <role> <closing> <count>
//
// kind: chromium, node-datachannel, wrtc; role: what the other one does, offers or answers; closing:
// who closes in the end, us, channel (theirs) or connection (theirs). Packages are found through
// NODE_PATH. Prints one line; 0 if all was well.
'use strict'

const { spawn } = require('node:child_process')
const path = require('node:path')
const readline = require('node:readline')
const { openTab } = require('./chromium.js')

const [program, kind, role, closing, countText] = process.argv.slice(2)
const count = Number(countText)
const offers = role === 'offers'
// wrtc loses what reaches it while it takes a channel (see old_wrtc.js), so it is told nothing before
// both are open.
const waits = kind === 'wrtc' && !offers
const started = Date.now()
const cleanups = []

async function finish (problem) {
  for (const each of cleanups.reverse()) await Promise.resolve(each()).catch(() => {})
  const what = `${kind} ${role}, ${count} messages each way, closed by ${closing}`
  console.log(problem ? `FAILED ${what}: ${problem}` : `passed ${what}: ${times()}`)
  process.exit(problem ? 1 : 0)
}

const marks = {}
const mark = name => { marks[name] ??= Date.now() - started }
const times = () => Object.entries(marks).map(([name, ms]) => `${name} ${ms} ms`).join(', ')

async function startChromium (say) {
  const tab = await openTab(path.join(__dirname, 'other_peer.js'), { say }, cleanups)
  mark('browser')
  const start = () => tab.evaluate(([offers, count]) => {
    globalThis.peer = globalThis.makePeer(globalThis.RTCPeerConnection, {}, offers, count, globalThis.say)
  }, [offers, count])
  return { start, hear: note => tab.evaluate(note => globalThis.peer.hear(note), note) }
}

async function startPackage (say) {
  const { makePeer } = require('./other_peer.js')
  const Connection = kind === 'wrtc'
    ? require('@roamhq/wrtc').RTCPeerConnection
    : require('node-datachannel/polyfill').RTCPeerConnection
  const other = {}
  other.start = () => { other.peer = makePeer(Connection, { bindAddress: '127.0.0.1' }, offers, count, say) }
  other.hear = note => other.peer.hear(note)
  return other
}

async function main () {
  const own = spawn(program, ['--local', '127.0.0.1', '--count', String(count),
    ...(offers ? [] : ['--offer']), ...(waits ? ['--waits'] : [])],
    { stdio: ['pipe', 'pipe', 'inherit'] })
  cleanups.push(() => { own.kill('SIGKILL') })
  own.on('exit', (code, signal) => { if (code || (signal && signal !== 'SIGKILL')) finish(`our end ended with ${code ?? signal}`) })
  own.stdin.on('error', () => {})
  const tellOwn = note => { own.stdin.write(JSON.stringify(note) + '\n') }

  const seen = { own: new Set(), other: new Set() }
  const told = who => [...seen[who]].join(', ') || 'nothing'
  const far = {}
  setTimeout(() => {
    tellOwn({ type: 'how far' })
    other?.hear({ type: 'how far' })
    setTimeout(() => finish(`it took too long; we said ${told('own')}, they said ${told('other')}; ` +
      `so far ${JSON.stringify(far)}`), 1000).unref()
  }, 100_000).unref()
  let closeSent = false
  let other = null
  const step = (who, note) => {
    if (note.type === 'so far') {
      far[who] = note
      return
    }
    if (note.type === 'failed') return finish(`${who}: ${note.why}`)
    seen[who].add(note.type)
    if (seen.own.has(note.type) && seen.other.has(note.type)) {
      mark(note.type)
      if (waits && note.type === 'opened') tellOwn({ type: 'begin' })
    }
    if (note.type === 'closed' && !closeSent) return finish(`${who} closed early: ${note.how}`)
    if (note.type === 'closed' && who === 'own') {
      const right = closing === 'us' ? 'closed here' : 'closed by the peer'
      if (note.how !== right) return finish(`our end was '${note.how}'`)
    }
    if (!closeSent && seen.own.has('done') && seen.other.has('done')) {
      closeSent = true
      if (closing === 'us') tellOwn({ type: 'close' })
      else other.hear({ type: closing === 'channel' ? 'close' : 'destroy' })
    }
    // connection.close() is silent at the end that called it.
    const otherClosed = seen.other.has('closed') || closing === 'connection'
    if (seen.own.has('closed') && otherClosed) finish()
  }
  const sayOther = note => {
    if (['offer', 'answer', 'candidate'].includes(note.type)) return tellOwn(note)
    step('other', note)
  }
  other = kind === 'chromium' ? await startChromium(sayOther) : await startPackage(sayOther)
  await other.start()
  readline.createInterface({ input: own.stdout }).on('line', line => {
    const note = JSON.parse(line)
    if (['offer', 'answer', 'candidate'].includes(note.type)) return other.hear(note)
    step('own', note)
  })
}

main().catch(error => finish(error.stack))
