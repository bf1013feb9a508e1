// SPDX-License-Identifier: MIT
//
// One node of npm peer-exchange 0.4.1, told what to do by bench/run: it accepts and counts what is
// poured, or connects and pours, or introduces two others (who say webrtc, if they want data channels).
//
//   node --no-deprecation old_exchange_end.js [webrtc]
//
// Packages are found through NODE_PATH.
'use strict'

const crypto = require('node:crypto')
const net = require('node:net')
const readline = require('node:readline')
const { promisify } = require('node:util')
const Exchange = require('peer-exchange')
const oldWrtc = require('../tests/webrtc/old_wrtc.js')

const host = '127.0.0.1'
const node = new Exchange('bench', process.argv[2] === 'webrtc' ? { wrtc: oldWrtc() } : {})
let partner = null
let pouring = null

// The first eight bytes tell how many there are; one byte is answered to the last of them.
function count (peer) {
  let left = 0
  peer.on('data', data => {
    if (pouring) return pouring.resolve()
    if (left === 0) left = Number(data.readBigUInt64BE())
    left -= data.length
    if (left < 0) throw new Error('more came than was announced')
    if (left === 0) peer.write(Buffer.alloc(1))
  })
}

node.on('peer', count)
// Ends leave one after the other, and who is left hears of it; only while it pours this matters.
node.on('peerError', error => pouring?.reject(error))
node.on('disconnect', () => pouring?.reject(new Error('disconnected')))

// The package's write() holds nobody back, for it does not look at what its channel answers, and all
// would wait in memory. Looking at the channel is as fast or faster.
function write (pieces) {
  const channel = partner._dataChannel
  for (;;) {
    const { value, done } = pieces.next()
    if (done) return
    partner.write(value)
    if (channel._writableState.needDrain) return channel.once('drain', () => write(pieces))
  }
}

function * pieces (bytes, size, isNoise) {
  // What does not compress: longer than deflate remembers.
  const piece = isNoise ? crypto.randomBytes(size) : Buffer.alloc(size, 0x55)
  const first = Buffer.from(piece)
  first.writeBigUInt64BE(BigInt(bytes))
  yield first.subarray(0, bytes)
  for (let left = bytes - size; left > 0; left -= size) yield piece.subarray(0, left)
}

const verbs = {
  // In place of a port the package hands on what listen() takes, and would listen everywhere.
  accept: async ({ transport }) => {
    if (transport === 'webrtc') return promisify(node.accept).call(node, transport)
    const port = await freePort()
    await promisify(node.accept).call(node, transport, { port: { port, host } })
    return { port }
  },
  connect: async ({ transport, port }) => {
    partner = await promisify(node.connect).call(node, transport, host, { port })
  },
  meet: async () => { partner = await promisify(node.getNewPeer).call(node) },
  pour: async ({ bytes, piece, noise }) => {
    const began = performance.now()
    await new Promise((resolve, reject) => {
      pouring = { resolve, reject }
      write(pieces(bytes, piece, noise))
    })
    pouring = null
    return { seconds: (performance.now() - began) / 1000 }
  },
  cost: async () => {
    const { user, system } = process.cpuUsage()
    return { cpu_us: user + system }
  }
}

function freePort () {
  return new Promise(resolve => {
    const server = net.createServer().listen(0, host, () => {
      const { port } = server.address()
      server.close(() => resolve(port))
    })
  })
}

const say = line => process.stdout.write(JSON.stringify(line) + '\n')
const commands = readline.createInterface({ input: process.stdin })
commands.on('line', line => {
  const command = JSON.parse(line)
  verbs[command.do](command).then(answer => say(answer ?? {}), error => say({ error: String(error.stack) }))
})
commands.on('close', () => process.exit())
say({ ready: true })
