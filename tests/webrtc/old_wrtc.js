// SPDX-License-Identifier: MIT
//
// WebRTC for the npm packages that we succeed, which know it by their option `wrtc`: npm @roamhq/wrtc
// with two ways of our own.
'use strict'

const path = require('path')

// wrtc 0.10.0, the newest release, loses what reaches it between a channel's arrival and its handler
// (it registers twice; its later source does not). Those packages say one thing at once, ask for no
// answer and wait for ever, so who offers begins a little later.
const patience = 100 // ms

/// Found in the folder `modules`, else through NODE_PATH.
module.exports = function oldWrtc (modules = '') {
  const wrtc = require(path.join(modules, '@roamhq/wrtc'))
  class RTCPeerConnection extends wrtc.RTCPeerConnection {
    // They would ask public STUN servers if they were let.
    constructor (config) { super({ ...config, iceServers: [] }) }

    createDataChannel (...words) {
      const channel = super.createDataChannel(...words)
      let handler = null
      Object.defineProperty(channel, 'onopen', { set: given => { handler = given } })
      channel.addEventListener('open', event => setTimeout(() => handler && handler(event), patience))
      return channel
    }
  }
  return { ...wrtc, RTCPeerConnection }
}
