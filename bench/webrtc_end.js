// SPDX-License-Identifier: MIT
//
// One end of data channels with somebody else's implementation; speaks as webrtc_main.cpp does:
//
//   node --expose-gc webrtc_end.js node-datachannel|chromium <descriptor to signal through>
//
// makeEnd() and webConnection() also run in Chromium's page. Packages are found through NODE_PATH.
'use strict'

// Beyond the first one it is waited until less than the second is queued.
const queuedMax = 1 << 20
const queuedLow = 1 << 18

// A connection that is not open by then counts as failed, and another one is tried.
const openTimeout = 5000

// connect(offers, events) makes { take(note), send(bytes), queued() }; events are tell(note),
// opened(), failed(), received(), low().
function makeEnd (connect, tell, later) {
  const connections = new Map()
  let negotiations = 0
  let received = 0
  let first = null
  let payload = null

  const load = () => {
    for (let i = 0; i < 500; ++i) {
      if (!payload || first.queued() > queuedMax) return
      first.send(payload)
    }
    later(load)
  }
  const begin = (id, offers, ended) => {
    const connection = connect(offers, {
      tell: note => tell({ ...note, id }),
      opened: () => { first ??= connection; ended(true) },
      failed: () => ended(false),
      received: () => { ++received },
      low: () => { if (payload && connection === first) load() }
    })
    connections.set(id, connection)
    return connection
  }
  return {
    take: note => {
      const connection = connections.get(note.id) ?? begin(note.id, false, () => {})
      connection.take(note)
    },
    open: async count => {
      const setup = []
      let failed = 0
      while (setup.length < count) {
        const began = performance.now()
        const isOpen = await new Promise(resolve => {
          begin(++negotiations, true, resolve)
          setTimeout(resolve, openTimeout, false)
        })
        if (isOpen) setup.push(performance.now() - began)
        else if (++failed > count) throw new Error('most connections fail')
      }
      return { setup_ms: setup, failed }
    },
    start: bytes => {
      payload = new Uint8Array(bytes).fill(0x5a)
      load()
    },
    stop: () => { payload = null },
    look: () => ({ received, links: connections.size, ns: performance.now() * 1e6 })
  }
}

function webConnection (Connection) {
  return (offers, events) => {
    const connection = new Connection({})
    const early = []
    let channel = null
    const attach = to => {
      channel = to
      channel.binaryType = 'arraybuffer'
      channel.bufferedAmountLowThreshold = queuedLow
      channel.onbufferedamountlow = events.low
      channel.onmessage = events.received
      channel.onopen = events.opened
    }
    connection.onicecandidate = event => {
      if (event.candidate) events.tell({ type: 'candidate', candidate: event.candidate.candidate })
    }
    const describe = type => events.tell({ type, sdp: connection.localDescription.sdp })
    let before = Promise.resolve()
    if (offers) {
      attach(connection.createDataChannel('bench'))
      before = connection.setLocalDescription().then(() => describe('offer'))
    } else {
      connection.ondatachannel = event => {
        attach(event.channel)
        if (channel.readyState === 'open') { channel.onopen = null; events.opened() }
      }
    }
    const candidate = line => connection.addIceCandidate({ candidate: line, sdpMid: '0', sdpMLineIndex: 0 })
    const take = async note => {
      if (note.type === 'candidate') {
        if (note.candidate === '') return
        return connection.remoteDescription ? candidate(note.candidate) : early.push(note.candidate)
      }
      await connection.setRemoteDescription({ type: note.type, sdp: note.sdp })
      for (const line of early.splice(0)) await candidate(line)
      if (note.type !== 'offer') return
      await connection.setLocalDescription()
      describe('answer')
    }
    return {
      take: note => { before = before.then(() => take(note)) },
      send: bytes => channel.send(bytes),
      queued: () => channel.bufferedAmount
    }
  }
}

// By its own interface, which costs less than the one like a browser's that it has as well.
function nodeDatachannelConnection () {
  const { PeerConnection } = require('node-datachannel')
  return (offers, events) => {
    const connection = new PeerConnection('bench', { iceServers: [], bindAddress: '127.0.0.1' })
    const early = []
    let isDescribed = false
    let channel = null
    const attach = to => {
      channel = to
      channel.setBufferedAmountLowThreshold(queuedLow)
      channel.onBufferedAmountLow(events.low)
      channel.onMessage(events.received)
      channel.onOpen(events.opened)
    }
    connection.onLocalDescription((sdp, type) => events.tell({ type, sdp }))
    connection.onLocalCandidate(line => events.tell({ type: 'candidate', candidate: line.replace(/^a=/, '') }))
    connection.onDataChannel(attach)
    connection.onStateChange(state => {
      if (state === 'failed' || state === 'closed') events.failed()
    })
    if (offers) attach(connection.createDataChannel('bench'))
    return {
      take: note => {
        // Some fail before they are open; this is known here before it is told.
        if (['failed', 'closed'].includes(connection.state())) return
        if (note.type === 'candidate') {
          if (note.candidate === '') return
          if (!isDescribed) return early.push(note.candidate)
          return connection.addRemoteCandidate(note.candidate, '0')
        }
        connection.setRemoteDescription(note.sdp, note.type)
        isDescribed = true
        for (const line of early.splice(0)) connection.addRemoteCandidate(line, '0')
      },
      send: bytes => channel.sendMessageBinary(bytes),
      queued: () => channel.bufferedAmount()
    }
  }
}

async function chromiumEnd (tell, cleanups) {
  const { openTab } = require('../tests/webrtc/chromium.js')
  const tab = await openTab(__filename, { tell }, cleanups)
  await tab.evaluate(() => {
    // A timer of no time waits for four milliseconds; a message to oneself does not.
    const bell = new MessageChannel()
    let due = () => {}
    bell.port1.onmessage = () => due()
    const later = what => { due = what; bell.port2.postMessage(0) }
    globalThis.end = globalThis.makeEnd(globalThis.webConnection(RTCPeerConnection), globalThis.tell, later)
  })
  const end = {}
  for (const name of ['take', 'open', 'start', 'stop', 'look']) {
    end[name] = argument => tab.evaluate(([name, argument]) => globalThis.end[name](argument), [name, argument])
  }
  return end
}

async function main () {
  const [kind, signal] = process.argv.slice(2)
  const readline = require('node:readline')
  const socket = new (require('node:net').Socket)({ fd: Number(signal) })
  const tell = note => { socket.write(JSON.stringify(note) + '\n') }
  const cleanups = []
  const end = kind === 'chromium'
    ? await chromiumEnd(tell, cleanups)
    : makeEnd(nodeDatachannelConnection(), tell, setImmediate)
  readline.createInterface({ input: socket }).on('line', line => end.take(JSON.parse(line)))
  const say = line => process.stdout.write(JSON.stringify(line) + '\n')
  const obey = async command => {
    if (command.do === 'open') return end.open(command.count)
    if (command.do === 'start') await end.start(command.bytes)
    if (command.do === 'stop') await end.stop()
    globalThis.gc?.()
    const { user, system } = process.cpuUsage()
    return { ...await end.look(), cpu_us: user + system, rss_kib: process.memoryUsage().rss / 1024 }
  }
  const commands = readline.createInterface({ input: process.stdin })
  commands.on('line', line => {
    obey(JSON.parse(line)).then(say, error => say({ error: String(error.stack) }))
  })
  commands.on('close', async () => {
    for (const each of cleanups.reverse()) await Promise.resolve(each()).catch(() => {})
    process.exit()
  })
  say({ ready: true })
}

if (typeof module === 'undefined') {
  Object.assign(globalThis, { makeEnd, webConnection })
} else {
  main().catch(error => { console.error(error); process.exit(1) })
}
