// SPDX-License-Identifier: MIT
//
// Old nodes for the tests: the npm package as it is, told what to do by lines of JSON on standard
// input, telling what happens by lines of JSON on standard output. One process may hold several
// nodes. An exception ends it, as it would end a user's: nothing is caught here.
'use strict'

const fs = require('fs')
const path = require('path')
const readline = require('readline')
const oldWrtc = require('../webrtc/old_wrtc.js')

const modules = process.env.PEER_RELAY_OLD_MODULES
if (!modules) throw new Error('PEER_RELAY_OLD_MODULES is not set')
const PeerRelay = require(path.join(modules, 'peer-relay'))
const WsConnector = require(path.join(modules, 'peer-relay', 'lib', 'ws.js'))

const nodes = new Map()
const sockets = new Map()
let tapped = null

function tell (event) {
  process.stdout.write(JSON.stringify(event) + '\n')
}

// Every text that arrives on any link, before the package sees it, with the id that came first.
const onConnection = WsConnector.prototype._onConnection
WsConnector.prototype._onConnection = function (ws) {
  onConnection.call(this, ws)  // takes all listeners away before it adds its own
  let id = null
  ws.prependListener('message', function (text) {
    const first = id === null
    if (first) id = Buffer.from(JSON.parse(text), 'hex').toString('hex')
    if (tapped) fs.writeSync(tapped, JSON.stringify({ id, first, text: String(text) }) + '\n')
  })
}

function neighbours (node) {
  return node.peers.toArray().map((channel) => channel.id.toString('hex'))
}

function options (order) {
  const given = { bootstrap: order.bootstrap || [] }
  if (order.wrtc) given.wrtc = oldWrtc(process.env.PEER_RELAY_WEBRTC_MODULES)
  if (order.port !== undefined) given.port = order.port
  return given
}

// A load of the bench: `window` messages are under way, each of `size` bytes of text.
const loads = new Map()
function pump (load) {
  while (load.running && load.sent - load.acknowledged < load.window) {
    ++load.sent
    load.node.send(load.to, { load: load.sent, text: load.text })
  }
}

const verbs = {
  node (order) {
    const node = new PeerRelay(options(order))
    const id = node.id.toString('hex')
    nodes.set(order.name, node)
    node.on('peer', (peer) => tell({ event: 'peer', name: order.name, id: peer.toString('hex') }))
    const load = { received: 0, bytes: 0 }
    loads.set(order.name, load)
    node.on('message', (data, from) => {
      if (data && data.load !== undefined) {
        ++load.received
        load.bytes += data.text.length
        if (load.received % 16 === 0) node.send(from, { seen: load.received })
        return
      }
      if (data && data.seen !== undefined && load.node) {
        load.acknowledged = Math.max(load.acknowledged, data.seen)
        return pump(load)
      }
      const event = { event: 'message', name: order.name, from: from.toString('hex') }
      if (data === undefined) event.undefined = true
      else event.data = data
      tell(event)
    })
    const server = node.wsConnector._wss
    const ready = () => {
      tell({ event: 'ready', name: order.name, id, url: node.wsConnector.url })
    }
    if (server) server.on('listening', ready)
    else ready()
  },
  send (order) {
    nodes.get(order.name).send(Buffer.from(order.to, 'hex'), order.data)
  },
  send_undefined (order) {
    nodes.get(order.name).send(Buffer.from(order.to, 'hex'), undefined)
  },
  send_buffer (order) {
    nodes.get(order.name).send(Buffer.from(order.to, 'hex'), Buffer.from(order.hex, 'hex'))
  },
  // Every ordered pair of ours among all ids given, a few at a time so that sockets breathe.
  send_all (order) {
    const pairs = []
    for (const [name, node] of nodes) {
      const from = node.id.toString('hex')
      for (const to of order.to) if (to !== from) pairs.push([node, to, from, name])
    }
    const step = () => {
      for (const [node, to, from] of pairs.splice(0, 20)) {
        node.send(Buffer.from(to, 'hex'), { pair: from + to, round: order.round })
      }
      if (pairs.length) setTimeout(step, 5)
      else tell({ event: 'sent_all', round: order.round })
    }
    step()
  },
  status () {
    const status = {}
    for (const [name, node] of nodes) {
      status[name] = {
        id: node.id.toString('hex'),
        neighbours: neighbours(node),
        pending: Object.keys(node.pending).length,
        nonces: Object.keys(node.router._touched).length
      }
    }
    tell({ event: 'status', tag: order_tag, nodes: status, rss: process.memoryUsage().rss })
  },
  tap (order) {
    tapped = fs.openSync(order.file, 'a')
  },
  destroy (order) {
    nodes.get(order.name).destroy(() => {})
    nodes.delete(order.name)
  },
  socket (order) {
    const socket = new PeerRelay.Socket(options(order))
    sockets.set(order.name, socket)
    socket.on('message', (bytes, rinfo) => {
      tell({ event: 'datagram', name: order.name, hex: bytes.toString('hex'), rinfo })
    })
    socket.on('error', (error) => tell({ event: 'error', name: order.name, error: String(error) }))
    socket.bind(order.as, () => {
      tell({ event: 'listening', name: order.name, address: socket.address() })
    })
    const server = socket.peer.wsConnector._wss
    const ready = () => tell({ event: 'ready', name: order.name, id: socket.address().address, url: socket.peer.wsConnector.url })
    if (server) server.on('listening', ready)
    else ready()
  },
  socket_send (order) {
    const bytes = Buffer.from(order.hex, 'hex')
    sockets.get(order.name).send(bytes, 0, bytes.length, order.port, order.to, () => {
      tell({ event: 'datagram_sent', name: order.name })
    })
  },
  load (order) {
    const load = loads.get(order.name)
    Object.assign(load, {
      node: nodes.get(order.name), to: Buffer.from(order.to, 'hex'), text: 'x'.repeat(order.size),
      window: order.window, sent: 0, acknowledged: 0, running: true
    })
    pump(load)
  },
  load_stop (order) {
    loads.get(order.name).running = false
  },
  look () {
    const seen = {}
    for (const [name, load] of loads) seen[name] = { received: load.received, sent: load.sent || 0 }
    const cpu = process.cpuUsage()
    tell({ event: 'look', tag: order_tag, loads: seen, cpu_us: cpu.user + cpu.system,
      ns: Number(process.hrtime.bigint()), rss: process.memoryUsage().rss })
  }
}

let order_tag = null
readline.createInterface({ input: process.stdin }).on('line', (line) => {
  const order = JSON.parse(line)
  order_tag = order.tag === undefined ? null : order.tag
  verbs[order.do](order)
}).on('close', () => process.exit(0))
