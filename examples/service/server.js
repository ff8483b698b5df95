// Starts the service: node examples/service/server.js runs/a

import { parseArgs } from 'node:util'
import { limits, openService } from './service.js'

const help = `Embeds images over HTTP with the encoder of a run.

  node examples/service/server.js RUN [options]

RUN is a run folder of kindred train, or one of its checkpoints.

  --images FOLDER   embed the images of a folder, which POST /search searches
  --host NAME       address to listen on (127.0.0.1)
  --port N          port, 0 for any that is free (8080)
  --max-batch N     most images of a batch (32)
  --max-wait MS     longest wait of an idle service for a fuller batch (5)
  --queue N         most images inside; others get 503 (256)
  --adapter NAME    part of the adapter's name
  --help

  POST /embed         body: an image file     { "features": [...] }
  POST /search?k=10   body: an image file     { "neighbours": [{ "file", "similarity" }] }
  GET  /health                                { "status": "ok" }
  GET  /stats                                 queue, batches, latencies, memory

Image files may have ${limits.body} bytes at most.`

const options = Object.fromEntries(
  ['images', 'host', 'port', 'max-batch', 'max-wait', 'queue', 'adapter'].map((name) => [
    name,
    { type: 'string' },
  ]),
)

/** Returns the number of an option, {} if it is not given. */
function numberOf(values, name, key) {
  const text = values[name]
  if (text === undefined) return {}
  if (!/^\d{1,9}$/.test(text)) throw new Error(`--${name} must be a whole number, got ${text}`)
  return { [key]: Number(text) }
}

async function main() {
  const { values, positionals } = parseArgs({
    options: { ...options, help: { type: 'boolean' } },
    allowPositionals: true,
  })
  if (values.help) return console.log(help)
  const [run, ...others] = positionals
  if (run === undefined || others.length > 0)
    throw new Error('name one run folder or checkpoint; --help says more')
  const { images, adapter, host = '127.0.0.1' } = values
  const { port = 8080 } = numberOf(values, 'port', 'port')
  const service = await openService(run, {
    ...numberOf(values, 'max-batch', 'maxBatch'),
    ...numberOf(values, 'max-wait', 'maxWait'),
    ...numberOf(values, 'queue', 'queue'),
    ...(images === undefined ? {} : { images }),
    ...(adapter === undefined ? {} : { adapter }),
    tell: (line) => console.error(line),
  })
  stopOnSignals(service)
  const { server } = service
  try {
    await new Promise((resolve, reject) => {
      server.once('error', reject)
      server.listen(port, host, resolve)
    })
  } catch (error) {
    await service.close()
    throw error
  }
  console.log(`listening on http://${host}:${server.address().port}`)
}

/** Closes the service at SIGTERM or Ctrl-C. A second signal ends the process. */
function stopOnSignals({ close }) {
  let isClosing = false
  const stop = async () => {
    if (isClosing) process.exit(130)
    isClosing = true
    console.error('closing: finishing the requests under way')
    process.exitCode = (await close()) ? 0 : 1
  }
  process.on('SIGTERM', stop)
  process.on('SIGINT', stop)
}

await main().catch((error) => {
  console.error(`server: ${error.message}`)
  process.exitCode = 2
})
