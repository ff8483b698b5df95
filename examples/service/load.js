// Measures the service under load: node examples/service/load.js runs/a --requests 1000
// The service runs in this process, its clients in another, over 127.0.0.1.

import { fork } from 'node:child_process'
import { Agent, request } from 'node:http'
import { cpus } from 'node:os'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import sharp from 'sharp'
import { procedural } from 'kindred/node'
import { openService } from './service.js'

const help = `Sends images to the service from another process, and prints what came back.

  node examples/service/load.js RUN [options]

  --requests N      requests to send (1000)
  --in-flight N     of them at a time (32)
  --rounds N        how often, with the memory after each (1)
  --max-batch N     most images of a batch (32)
  --max-wait MS     as for server.js (5)
  --lose-device     destroy the GPU's device in the middle of the first round
  --adapter NAME    part of the adapter's name
  --help`

const WARM = 64 // requests before anything is measured

/** Makes JPEG files of drawn images. */
async function pictures(count) {
  const { train } = procedural({ train: count, test: 1 })
  const { height, width } = train.image
  const pixels = new Uint8Array(count * height * width * 3)
  await train.read(
    Array.from({ length: count }, (_, i) => i),
    pixels,
  )
  const one = height * width * 3
  const jpeg = (i) =>
    sharp(pixels.subarray(i * one, (i + 1) * one), { raw: { width, height, channels: 3 } })
      .jpeg({ quality: 90 })
      .toBuffer()
  return Promise.all(Array.from({ length: count }, (_, i) => jpeg(i)))
}

/** Sends `requests` of the bodies to the URL, `inFlight` at a time. Resolves to the milliseconds of
 *  each, and the number of answers by status. */
async function send(url, bodies, requests, inFlight) {
  const agent = new Agent({ keepAlive: true, maxSockets: inFlight })
  const times = []
  const statuses = {}
  let next = 0
  const client = async () => {
    while (next < requests) {
      const body = bodies[next++ % bodies.length]
      const began = performance.now()
      const status = await post(url, body, agent)
      times.push(performance.now() - began)
      statuses[status] = (statuses[status] ?? 0) + 1
    }
  }
  const began = performance.now()
  await Promise.all(Array.from({ length: inFlight }, client))
  agent.destroy()
  return { times, statuses, seconds: (performance.now() - began) / 1000 }
}

/** Resolves to the status of the answer, or the code of the error. */
function post(url, body, agent) {
  return new Promise((resolve) => {
    const sent = request(url, { method: 'POST', agent, timeout: 60_000 }, (response) => {
      response.resume()
      response.on('end', () => resolve(response.statusCode))
      response.on('error', ({ code }) => resolve(code))
    })
    sent.on('timeout', () => sent.destroy(Object.assign(new Error('timeout'), { code: 'TIMEOUT' })))
    sent.on('error', ({ code }) => resolve(code))
    sent.end(body)
  })
}

const percentile = (times, share) =>
  times.toSorted((a, b) => a - b)[Math.max(0, Math.ceil(share * times.length) - 1)]

const rounded = (value) => Math.round(value * 10) / 10

/** What the clients' process does: a round for each message. */
async function clients() {
  const bodies = await pictures(64)
  process.on('message', async ({ url, requests, inFlight }) => {
    process.send(await send(url, bodies, requests, inFlight))
  })
  process.send('ready')
}

const answerOf = (child) => new Promise((resolve) => child.once('message', resolve))

/** Milliseconds of a full batch alone, from pixels to rows, by the embedder: the median of 20. */
async function oneBatch(model, size) {
  const pixels = Uint8Array.from({ length: size * model.side ** 2 * 3 }, (_, i) => (i * 7919) % 256)
  const times = []
  for (let i = 0; i < 20; i++) {
    const began = performance.now()
    await model.embedPixels(pixels, [size, model.side, model.side, 3])
    times.push(performance.now() - began)
  }
  return percentile(times, 0.5)
}

/** Sends as many requests at once as there are in flight, twenty times. Resolves to the median of
 *  their latencies: what a batch takes with HTTP and decoding, when nothing else is under way. */
async function burst(child, { url, inFlight }) {
  const times = []
  for (let i = 0; i < 20; i++) {
    const answer = answerOf(child)
    child.send({ url, requests: inFlight, inFlight })
    times.push(...(await answer).times)
  }
  return percentile(times, 0.5)
}

async function round(child, service, { url, requests, inFlight, lose }) {
  const answer = answerOf(child)
  child.send({ url, requests, inFlight })
  const before = service.model.stats().answered
  if (lose) {
    while (service.model.stats().answered < before + requests / 2)
      await new Promise((resolve) => setTimeout(resolve, 5))
    ;(await service.model.gpu()).device.destroy()
  }
  return answer
}

function print({ times, statuses, seconds }, { batch, alone, stats, rss, lost }) {
  const counts = Object.entries(statuses).map(([status, count]) => `${count} x ${status}`)
  const [p50, p95, p99] = [0.5, 0.95, 0.99].map((share) => rounded(percentile(times, share)))
  console.log(
    [
      `${times.length} requests in ${rounded(seconds)} s, ${rounded(times.length / seconds)} a second`,
      `answers ${counts.join(', ')}${lost ? `; devices lost: ${stats.losses}` : ''}`,
      `latency p50 ${p50} ms, p95 ${p95} ms, p99 ${p99} ms`,
      `batches of ${rounded(stats.meanBatch)} on average, p50 ${rounded(stats.batchTime.p50)} ms`,
      `one batch of requests alone p50 ${rounded(alone)} ms; the load's p50 is ${(p50 / alone).toFixed(2)} of it`,
      `one batch of pixels alone ${rounded(batch)} ms, without HTTP and decoding`,
      `memory of the service (rss) ${rss.map((bytes) => Math.round(bytes / 2 ** 20)).join(' -> ')} MiB`,
    ].join('\n'),
  )
}

async function main() {
  const text = { type: 'string' }
  const flag = { type: 'boolean' }
  const names = ['requests', 'in-flight', 'rounds', 'max-batch', 'max-wait', 'adapter']
  const { values, positionals } = parseArgs({
    options: {
      ...Object.fromEntries(names.map((name) => [name, text])),
      ...{ 'lose-device': flag, help: flag },
    },
    allowPositionals: true,
  })
  const [run] = positionals
  if (values.help || run === undefined) return console.log(help)
  const numberOf = (name, usual) => Number(values[name] ?? usual)
  const [requests, inFlight] = [numberOf('requests', 1000), numberOf('in-flight', 32)]
  const maxBatch = numberOf('max-batch', 32)
  const { adapter } = values
  const service = await openService(run, {
    ...{ maxBatch, maxWait: numberOf('max-wait', 5) },
    ...(adapter === undefined ? {} : { adapter }),
  })
  const child = fork(fileURLToPath(import.meta.url), ['clients'])
  try {
    await answerOf(child)
    await new Promise((resolve) => service.server.listen(0, '127.0.0.1', resolve))
    const url = `http://127.0.0.1:${service.server.address().port}/embed`
    await round(child, service, { url, requests: WARM, inFlight })
    console.log(`${cpus().length} cores, ${cpus()[0]?.model}; ${inFlight} requests in flight`)
    const rss = [process.memoryUsage.rss()]
    for (let i = 0; i < numberOf('rounds', 1); i++) {
      const lose = values['lose-device'] === true && i === 0
      const batch = await oneBatch(service.model, maxBatch)
      const before = await burst(child, { url, inFlight })
      const result = await round(child, service, { url, requests, inFlight, lose })
      const after = await burst(child, { url, inFlight })
      rss.push(process.memoryUsage.rss())
      print(result, {
        batch,
        alone: (before + after) / 2,
        stats: service.model.stats(),
        rss,
        lost: lose,
      })
    }
  } finally {
    child.disconnect()
    await service.close()
  }
}

await (process.argv[2] === 'clients' ? clients() : main())
