// SPDX-License-Identifier: MIT
//
// Nodes of npm peer-exchange for the tests: the package as it is, told what to do by lines of JSON
// on standard input, telling what happens by lines of JSON on standard output. One process may hold
// several nodes. An exception ends it, as it would end a user's: nothing is caught here.
'use strict'

const crypto = require('crypto')
const path = require('path')
const readline = require('readline')
const oldWrtc = require('../webrtc/old_wrtc.js')

const modules = process.env.PEER_RELAY_EXCHANGE_MODULES
if (!modules) throw new Error('PEER_RELAY_EXCHANGE_MODULES is not set')
const Exchange = require(path.join(modules, 'peer-exchange'))

const nodes = new Map()
const peers = new Map()

function tell (event) {
  process.stdout.write(JSON.stringify(event) + '\n')
}

function watch (name, peer) {
  const number = peers.size + 1
  const digest = crypto.createHash('sha256')
  const held = { name, peer, digest, bytes: 0, sent: crypto.createHash('sha256'), sentBytes: 0 }
  peers.set(number, held)
  peer.on('data', (data) => { digest.update(data); held.bytes += data.length })
  peer.on('end', () => tell({ event: 'ended', name, peer: number }))
  peer.on('close', () => tell({ event: 'down', name, peer: number }))
  peer.on('error', (error) => tell({ event: 'peer_error', name, peer: number, error: String(error) }))
  tell({ event: 'peer', name, peer: number, transport: peer.socket && peer.socket.transport,
    remote_host: peer.remoteAddress })
  return number
}

function number_of (peer) {
  for (const [number, held] of peers) if (held.peer === peer) return number
  return null
}

// The callback may come before the event or after it.
function done (tag, name) {
  return (error, peer) => setImmediate(() => {
    if (error) tell({ event: 'done', tag, name, error: String(error.message || error) })
    else tell({ event: 'done', tag, name, peer: peer ? number_of(peer) : null })
  })
}

function hash (digest) {
  return digest.copy().digest('hex')
}

const verbs = {
  node (order) {
    const options = order.webrtc ? { wrtc: oldWrtc(process.env.PEER_RELAY_WEBRTC_MODULES) } : {}
    const node = new Exchange(order.network || 'net-1', options)
    nodes.set(order.name, node)
    node.on('peer', (peer) => watch(order.name, peer))
    node.on('error', (error) => tell({ event: 'error', name: order.name, error: String(error) }))
    node.on('peerError', (error) => tell({ event: 'error', name: order.name, error: String(error) }))
    tell({ event: 'done', tag: order.tag, name: order.name })
  },
  accept (order) {
    const ready = done(order.tag, order.name)
    if (order.port === undefined) nodes.get(order.name).accept(order.transport, ready)
    else nodes.get(order.name).accept(order.transport, { port: order.port }, ready)
  },
  unaccept (order) {
    nodes.get(order.name).unaccept(order.transport)
    tell({ event: 'done', tag: order.tag })
  },
  connect (order) {
    nodes.get(order.name).connect(order.transport, '127.0.0.1', { port: order.port },
      done(order.tag, order.name))
  },
  get_new_peer (order) {
    const from = order.peer === undefined ? nodes.get(order.name) : peers.get(order.peer).peer
    from.getNewPeer(done(order.tag, order.name))
  },
  write (order) {
    const held = peers.get(order.peer)
    held.sent.update(order.text)
    held.sentBytes += Buffer.byteLength(order.text)
    held.peer.write(order.text)
    tell({ event: 'done', tag: order.tag })
  },
  // Its stream holds nobody back, so as much at a time as the other side is known to have read.
  pour (order) {
    const held = peers.get(order.peer)
    let left = order.bytes
    const step = () => {
      for (let i = 0; i < 16 && left > 0; ++i) {
        const bytes = crypto.randomBytes(Math.min(left, 1 + crypto.randomInt(order.piece || 100000)))
        held.sent.update(bytes)
        held.sentBytes += bytes.length
        held.peer.write(bytes)
        left -= bytes.length
      }
      if (left > 0) setImmediate(step)
    }
    step()
    tell({ event: 'done', tag: order.tag })
  },
  close (order) {
    peers.get(order.peer).peer.destroy()
    tell({ event: 'done', tag: order.tag })
  },
  look (order) {
    const held = peers.get(order.peer)
    tell({ event: 'done', tag: order.tag,
      received: { bytes: held.bytes, sha256: hash(held.digest) },
      sent: { bytes: held.sentBytes, sha256: hash(held.sent) } })
  },
  status (order) {
    const out = {}
    for (const [name, node] of nodes) out[name] = node.peers.length
    tell({ event: 'done', tag: order.tag, peers: out, rss: process.memoryUsage().rss })
  }
}

readline.createInterface({ input: process.stdin }).on('line', (line) => {
  const order = JSON.parse(line)
  verbs[order.do](order)
}).on('close', () => process.exit(0))
