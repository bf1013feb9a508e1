// SPDX-License-Identifier: MIT
//
// Debian's Chromium with a tab on a page of ours, for tests and benches of data channels. Packages are
// found through NODE_PATH.
'use strict'

const fs = require('node:fs')
const http = require('node:http')
const os = require('node:os')
const path = require('node:path')

/// A tab on a page that has run the script in that file. What has to end with it goes to `cleanups`.
/// `functions` are told to the page, by name, before it is loaded.
async function openTab (script, functions, cleanups) {
  const { chromium } = require('playwright-core')
  const profile = fs.mkdtempSync(path.join(os.tmpdir(), 'webrtc-'))
  cleanups.push(() => fs.promises.rm(profile, { recursive: true, force: true }))
  const server = http.createServer((request, response) => {
    const isScript = request.url === '/script.js'
    response.setHeader('content-type', isScript ? 'text/javascript' : 'text/html')
    response.end(isScript ? fs.readFileSync(script) : '<!doctype html><script src="script.js"></script>')
  })
  await new Promise(resolve => server.listen(0, '127.0.0.1', resolve))
  cleanups.push(async () => { server.close() })
  const context = await chromium.launchPersistentContext(profile, {
    executablePath: process.env.CHROMIUM || '/usr/bin/chromium',
    headless: true,
    args: ['--headless', '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run',
      '--disable-background-networking', '--disable-component-update', '--disable-sync',
      // Else it asks the local network for names, by multicast.
      '--disable-features=WebRtcHideLocalIpsWithMdns']
  })
  cleanups.push(() => context.close())
  const tab = await context.newPage()
  for (const [name, call] of Object.entries(functions)) await tab.exposeFunction(name, call)
  await tab.goto(`http://127.0.0.1:${server.address().port}/`)
  return tab
}

module.exports = { openTab }
