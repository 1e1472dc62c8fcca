// A Node client that retries: an open loop of decisions through @grpc/grpc-js, told as JSON.
//
//   node retrying.js ADDRESS RATE SECONDS DEADLINE_MS < requests      (a base64 request a line)
'use strict'

const fs = require('node:fs')
const grpc = require('@grpc/grpc-js')

const METHOD = '/interplay.v1.PersonalizationService/DecideInteraction'
const STEP_MS = 2
// As gRPC's documentation has it: retries of what was refused, with backoff.
const RETRIES = {
  methodConfig: [{
    name: [{ service: 'interplay.v1.PersonalizationService' }],
    retryPolicy: {
      maxAttempts: 4,
      initialBackoff: '0.01s',
      maxBackoff: '0.1s',
      backoffMultiplier: 2,
      retryableStatusCodes: ['UNAVAILABLE', 'RESOURCE_EXHAUSTED'],
    },
  }],
}

const [address, rate, seconds, deadlineMs] = process.argv.slice(2).map(
  (word, at) => (at ? Number(word) : word))
const requests = fs.readFileSync(0, 'utf8').trim().split('\n').map((line) => Buffer.from(line, 'base64'))
const client = new grpc.Client(address, grpc.credentials.createInsecure(), {
  'grpc.service_config': JSON.stringify(RETRIES),
  'grpc.enable_retries': 1,
})
const same = (bytes) => bytes
const codes = {}
let [sent, ended, good, late] = [0, 0, 0, 0]

function call (dueMs) {
  const deadline = new Date(Date.now() + deadlineMs)
  const request = requests[sent++ % requests.length]
  client.makeUnaryRequest(METHOD, same, same, request, { deadline }, (error) => {
    const name = error ? grpc.status[error.code] : 'OK'
    codes[name] = (codes[name] || 0) + 1
    good += !error && performance.now() - dueMs <= deadlineMs
    ended += 1
  })
}

client.waitForReady(Date.now() + 10000, (error) => {
  if (error) throw error
  const began = performance.now()
  const whole = rate * seconds
  const timer = setInterval(() => {
    const now = performance.now()
    for (; sent < whole && began + 1000 * sent / rate <= now; ) {
      const dueMs = began + 1000 * sent / rate
      late = Math.max(late, now - dueMs)
      call(dueMs)
    }
    if (sent >= whole && ended === sent) {
      clearInterval(timer)
      client.close()
      process.stdout.write(JSON.stringify({ calls: sent, good, codes, late_ms: late }) + '\n')
    }
  }, STEP_MS)
})
