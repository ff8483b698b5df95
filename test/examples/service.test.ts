// Runs the example of a service, as a process and within this one, over 127.0.0.1.

import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { writeFile } from 'node:fs/promises'
import { type Server, Agent, request } from 'node:http'
import type { AddressInfo } from 'node:net'
import { dirname, join, resolve } from 'node:path'
import { pathToFileURL } from 'node:url'
import * as assert from 'uvu/assert'
import { openGpu } from '../../engine/node.ts'
import type { ImageEmbedder } from '../../run-folder/embedder.ts'
import type { Searcher } from '../../serving/searcher.ts'
import { quickAndFull } from '../fixtures/full.ts'
import { picture, pictureSuite } from '../fixtures/images.ts'
import { untrainedRun } from '../fixtures/untrained-run.ts'

const [test, full] = quickAndFull(pictureSuite('example of a service'))

interface Service {
  readonly server: Server
  readonly model: ImageEmbedder
  readonly bank: { readonly searcher: Searcher } | null
  readonly close: () => Promise<boolean>
}

interface ServiceModule {
  readonly openService: (run: string, options?: object) => Promise<Service>
  readonly limits: { readonly body: number }
}

// it imports kindred/node, which is dist/
const serviceModule = async () =>
  (await import(pathToFileURL(resolve('examples/service/service.js')).href)) as ServiceModule

interface Answer {
  readonly status: number
  readonly headers: Readonly<Record<string, string | string[] | undefined>>
  readonly body: Readonly<Record<string, unknown>>
}

interface Asked {
  readonly method?: string
  readonly body?: Uint8Array | string
  readonly headers?: Readonly<Record<string, string>>
  readonly agent?: Agent
}

/** Sends a request to a port of this machine. */
function ask(port: number, path: string, { body, ...options }: Asked = {}): Promise<Answer> {
  return new Promise((done, fail) => {
    const sent = request({ host: '127.0.0.1', port, path, ...options }, (response) => {
      const { statusCode: status = 0, headers } = response
      let text = ''
      response.on('data', (chunk) => (text += String(chunk)))
      response.on('end', () => done({ status, headers, body: JSON.parse(text) as Answer['body'] }))
    })
    sent.on('error', fail)
    sent.end(body)
  })
}

const post = (port: number, path: string, body: Uint8Array | string, agent?: Agent) =>
  ask(port, path, { method: 'POST', body, ...(agent && { agent }) })

/** Makes a run and three pictures. */
async function prepared(folder: string) {
  const run = join(dirname(folder), 'run')
  const gpu = await openGpu()
  await untrainedRun(gpu, run, { size: 8 })
  gpu.destroy()
  for (const [i, colour] of (
    [
      [250, 0, 0],
      [0, 250, 0],
      [0, 0, 250],
    ] as const
  ).entries())
    await picture(join(folder, `${i}.png`), colour)
  return run
}

async function imageOf(folder: string, name: string) {
  const { readFile } = await import('node:fs/promises')
  return new Uint8Array(await readFile(join(folder, name)))
}

/** Resolves to the port that a server's process prints. */
async function portOf(child: ChildProcess): Promise<number> {
  let said = ''
  for await (const chunk of child.stdout ?? []) {
    said += String(chunk)
    const [, port] = /listening on http:\/\/127\.0\.0\.1:(\d+)/.exec(said) ?? []
    if (port !== undefined) return Number(port)
  }
  throw new Error(`the server ended: ${said}`)
}

const serve = (...args: string[]) =>
  spawn(process.execPath, ['examples/service/server.js', ...args], {
    stdio: ['ignore', 'pipe', 'pipe'],
  })

test('one command embeds, searches and tells how it is, until SIGTERM', async ({ folder }) => {
  const run = await prepared(folder)
  await writeFile(join(folder, 'broken.jpg'), 'no picture')
  const child = serve(run, '--images', folder, '--port', '0', '--max-batch', '2')
  const ended = once(child, 'exit')
  let told = ''
  child.stderr.on('data', (chunk) => (told += String(chunk)))
  const port = await portOf(child)
  const red = await imageOf(folder, '0.png')
  const { status, body } = await post(port, '/embed', red)
  assert.is(status, 200)
  assert.ok(Math.abs(Math.hypot(...(body['features'] as number[])) - 1) < 1e-6)
  const found = await post(port, '/search?k=2', red)
  const neighbours = found.body['neighbours'] as { file: string; similarity: number }[]
  assert.is(neighbours.length, 2)
  assert.is(neighbours[0]?.file, '0.png')
  assert.ok(Math.abs((neighbours[0]?.similarity ?? 0) - 1) < 1e-6)
  assert.equal((await ask(port, '/health')).body, { status: 'ok' })
  const { embedder, searcher } = (await ask(port, '/stats')).body as Record<
    string,
    { items: number }
  >
  assert.equal([embedder?.items, searcher?.items], [5, 1]) // three of the folder, two requests
  child.kill('SIGTERM')
  assert.equal(await ended, [0, null])
  assert.match(told, /broken\.jpg is of an unknown format/)
  assert.match(told, /embedded 3 images of .*, left out 1/)
  assert.match(told, /closing: finishing the requests under way/)
})

test('refuses in words what it does not take, and stays up', async ({ folder }) => {
  const run = await prepared(folder)
  const { openService, limits } = await serviceModule()
  const service = await openService(run, { maxBatch: 2 })
  service.server.listen(0, '127.0.0.1')
  await once(service.server, 'listening')
  const { port } = service.server.address() as AddressInfo
  const red = await imageOf(folder, '0.png')
  const big = new Uint8Array(limits.body + 1)
  const chunked = { method: 'POST', headers: { 'Transfer-Encoding': 'chunked' } }
  const search = 'there is nothing to search; start the service with --images'
  const asked: readonly (readonly [Promise<Answer>, number, string])[] = [
    [ask(port, '/'), 404, 'there is nothing at /'],
    [ask(port, '/embed'), 405, '/embed takes POST'],
    [ask(port, '/__proto__'), 404, 'there is nothing at /__proto__'],
    [post(port, '/embed', ''), 422, 'embedder: the image is empty'],
    [post(port, '/embed', big), 413, 'an image may have 8388608 bytes at most'],
    [
      ask(port, '/embed', { ...chunked, body: big }),
      413,
      'an image may have 8388608 bytes at most',
    ],
    [post(port, '/search', red), 404, search],
    [
      ask(port, '/embed', {
        ...{ method: 'POST', body: red },
        headers: { 'Content-Type': 'multipart/form-data; boundary=x' },
      }),
      415,
      'post the image itself, not a form: curl --data-binary @image.jpg',
    ],
    [
      ask(port, '/health', { headers: { Host: 'evil.example' } }),
      403,
      'this service answers only to localhost',
    ],
  ]
  for (const [answer, status, error] of asked) {
    const got = await answer.catch((cause: unknown) => cause)
    if (got instanceof Error && status === 413) continue // cut off while the client still wrote
    assert.equal([(got as Answer).status, (got as Answer).body], [status, { error }])
  }
  const text = await post(port, '/embed', 'a letter')
  assert.is(text.status, 422)
  assert.match(String(text.body['error']), /the image is of an unknown format, not an image/)
  assert.is((await post(port, '/embed', red)).status, 200)
  assert.is((await ask(port, '/health')).status, 200)
  assert.is(service.model.stats().inside, 0)
  assert.is(await service.close(), true)
})

test('a client that leaves frees its place; a full queue answers 503; closing finishes the rest', async ({
  folder,
}) => {
  const run = await prepared(folder)
  const { openService } = await serviceModule()
  const service = await openService(run, { maxBatch: 1, queue: 1, maxWait: 0 })
  service.server.listen(0, '127.0.0.1')
  await once(service.server, 'listening')
  const { port } = service.server.address() as AddressInfo
  const red = await imageOf(folder, '0.png')
  const slow = request({ host: '127.0.0.1', port, path: '/embed', method: 'POST' })
  slow.on('error', () => undefined)
  slow.write(red.subarray(0, 10)) // its place is taken until the rest has come
  while (service.model.stats().inside === 0) await new Promise((done) => setTimeout(done, 2))
  const refused = await post(port, '/embed', red)
  assert.equal([refused.status, refused.headers['retry-after']], [503, '1'])
  assert.equal(refused.body, { error: 'embedder: its queue is full, 1 of 1; try again later' })
  slow.destroy()
  while (service.model.stats().inside > 0) await new Promise((done) => setTimeout(done, 2))
  const last = request({ host: '127.0.0.1', port, path: '/embed', method: 'POST' })
  const answered = once(last, 'response')
  last.write(red.subarray(0, 10))
  while (service.model.stats().inside === 0) await new Promise((done) => setTimeout(done, 2))
  const closing = service.close()
  last.end(red.subarray(10))
  const [response] = (await answered) as [{ readonly statusCode: number; resume: () => void }]
  response.resume()
  assert.is(response.statusCode, 200)
  assert.is(await closing, true)
})

test('the command says what is wrong with it', async ({ folder }) => {
  const run = await prepared(folder)
  const said = async (...args: string[]) => {
    const child = serve(...args)
    let text = ''
    for (const stream of [child.stdout, child.stderr])
      stream.on('data', (chunk) => (text += String(chunk)))
    const [code] = (await once(child, 'close')) as [number]
    return [code, text.replaceAll(/^Warning: .*\n/gm, '').split('\n')[0]]
  }
  const [help, wrong, none] = await Promise.all([
    said('--help'),
    said(run, '--port', 'x'),
    said(folder),
  ])
  assert.equal(help, [0, 'Embeds images over HTTP with the encoder of a run.'])
  assert.equal(wrong, [2, 'server: --port must be a whole number, got x'])
  assert.equal(none, [
    2,
    `server: ${folder} is not a run folder: it has no config.json; give the --out folder of a training`,
  ])
})

full(
  '1,000 requests at 32 in flight are answered in flat memory, through a lost device',
  async ({ folder }) => {
    const run = await prepared(folder)
    const { openService } = await serviceModule()
    const service = await openService(run, {})
    service.server.listen(0, '127.0.0.1')
    await once(service.server, 'listening')
    const { port } = service.server.address() as AddressInfo
    const bodies = await Promise.all(
      ['0.png', '1.png', '2.png'].map((name) => imageOf(folder, name)),
    )
    const agent = new Agent({ keepAlive: true, maxSockets: 32 })
    const send = async (requests: number, at: (i: number) => unknown = () => {}) => {
      let next = 0
      const client = async () => {
        while (next < requests) {
          const i = next++
          await at(i)
          const { status } = await post(port, '/embed', bodies[i % 3] ?? '', agent)
          assert.is(status, 200)
        }
      }
      await Promise.all(Array.from({ length: 32 }, client))
    }
    await send(500)
    const gpu = await service.model.gpu()
    const [before, bytes] = [process.memoryUsage.rss(), gpu?.stats().bytes ?? NaN]
    await send(1000)
    assert.is(gpu?.stats().bytes, bytes)
    const grown = (process.memoryUsage.rss() - before) / 2 ** 20
    assert.ok(grown < 48, `${grown} MiB`)
    await send(1000, (i) => i === 500 && gpu?.device.destroy())
    const { losses, failed, answered } = service.model.stats()
    assert.equal([losses, failed, answered], [1, 0, 2500])
    agent.destroy()
    await service.close()
  },
)

test.run()
