// SPDX-License-Identifier: MIT
//
// The other end, with whatever RTCPeerConnection there is: a browser's or an npm package's. Speaks
// as webrtc_peer_main.cpp does, through say() and hear().
'use strict'

function trafficBytes (number) {
  if (number % 100 === 0) return 65536
  return 1 + (number * 37) % (number % 10 === 0 ? 16384 : 500)
}

function traffic (number) {
  const out = new Uint8Array(trafficBytes(number))
  let state = (Math.imul(number, 2654435761) + 1) >>> 0
  for (let i = 0; i < out.length; ++i) {
    out[i] = state >>> 24
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0
  }
  return out
}

function isTraffic (message, number) {
  const expected = traffic(number)
  return message.length === expected.length && message.every((byte, i) => byte === expected[i])
}

// Held back beyond this; what one queues is what the machine holds.
const queuedMax = 1 << 20

function makePeer (Connection, config, offers, count, say) {
  const connection = new Connection(config)
  let channel = null
  let sent = 0
  let received = 0
  let isDone = false
  let isClosed = false
  const early = []

  const fail = why => say({ type: 'failed', why: String(why && why.stack ? why.stack : why) })
  const tellIfDone = () => {
    if (sent === count && received === count && !isDone) {
      isDone = true
      say({ type: 'done', received })
    }
  }
  const pump = () => {
    while (sent < count && channel.readyState === 'open') {
      // Not every implementation tells reliably when less is queued, so all are asked again.
      if (channel.bufferedAmount > queuedMax) return setTimeout(pump, 2)
      channel.send(traffic(sent++))
    }
    tellIfDone()
  }
  const closed = how => {
    if (!isClosed) say({ type: 'closed', how })
    isClosed = true
  }
  const attach = to => {
    channel = to
    channel.binaryType = 'arraybuffer'
    channel.onmessage = event => {
      if (!isTraffic(new Uint8Array(event.data), received)) return fail(`message ${received} is not right`)
      ++received
      tellIfDone()
    }
    channel.onclose = () => closed('channel')
    let isOpen = false
    channel.onopen = () => {
      if (isOpen) return
      isOpen = true
      say({ type: 'opened' })
      pump()
    }
    if (channel.readyState === 'open') channel.onopen()
  }
  connection.onicecandidate = event => {
    if (event.candidate) say({ type: 'candidate', candidate: JSON.parse(JSON.stringify(event.candidate)) })
  }
  connection.onconnectionstatechange = () => {
    if (['failed', 'closed'].includes(connection.connectionState)) closed(connection.connectionState)
  }
  if (offers) {
    attach(connection.createDataChannel('test'))
    connection.createOffer().then(offer => connection.setLocalDescription(offer)).then(() => {
      say({ type: 'offer', sdp: connection.localDescription.sdp })
    }, fail)
  } else {
    connection.ondatachannel = event => attach(event.channel)
  }

  // One note after the other: a candidate may not overtake its description.
  let before = Promise.resolve()
  const take = async note => {
    if (note.type === 'candidate') {
      if (note.candidate.candidate === '') return
      if (!connection.remoteDescription) return early.push(note.candidate)
      return connection.addIceCandidate(note.candidate)
    }
    if (note.type === 'how far') {
      return say({ type: 'so far', sent, received, queued: channel && channel.bufferedAmount })
    }
    if (note.type === 'close') return channel.close()
    if (note.type === 'destroy') return connection.close()
    await connection.setRemoteDescription({ type: note.type, sdp: note.sdp })
    for (const candidate of early.splice(0)) await connection.addIceCandidate(candidate)
    if (note.type !== 'offer') return
    await connection.setLocalDescription(await connection.createAnswer())
    say({ type: 'answer', sdp: connection.localDescription.sdp })
  }
  return { hear: note => { before = before.then(() => take(note)).catch(fail) } }
}

if (typeof module !== 'undefined') module.exports = { makePeer }
