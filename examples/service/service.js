// A service over HTTP that embeds images and finds the nearest of a folder. It needs nothing but
// Node and Kindred. Everything is bounded: bodies, the queue, connections, times.

import { createServer } from 'node:http'
import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import {
  ClosedError,
  DataError,
  DeviceLostError,
  QueueFullError,
  embedder,
  openGpu,
  openSearcher,
} from 'kindred/node'

/** Limits of the service. Times are in milliseconds, sizes in bytes. */
export const limits = {
  body: 8 * 2 ** 20,
  k: 1000,
  connections: 512,
  /** From the first byte of a request to its answer. */
  request: 30_000,
  headers: 10_000,
  keepAlive: 5_000,
  /** For the requests under way when the service is closed. */
  drain: 20_000,
}

const IMAGE = /\.(jpe?g|jfif|png|webp|gif|tiff?|bmp|avif)$/i

/** An answer that is no success. */
class Refusal extends Error {
  constructor(status, message, headers = {}) {
    super(message)
    this.status = status
    this.headers = headers
  }
}

/** Opens the service of a run folder or checkpoint. `options` are those of `embedder`, and
 *  `images`, a folder to search in; `adapter` holds for both. Resolves to the HTTP server, which
 *  does not listen yet, and to what it uses. */
export async function openService(run, { images, tell = () => {}, ...options } = {}) {
  const model = await embedder(run, { maxBytes: limits.body, ...options })
  try {
    const bank = images === undefined ? null : await bankOf(model, images, { tell, ...options })
    const service = { model, bank, isClosing: false }
    const server = createServer(
      { requestTimeout: limits.request, headersTimeout: limits.headers },
      (request, response) => void answer(service, request, response),
    )
    server.keepAliveTimeout = limits.keepAlive
    server.maxConnections = limits.connections
    return { server, model, bank, close: () => close(service, server) }
  } catch (error) {
    await model.close()
    throw error
  }
}

/** Embeds the images of a folder, at any depth, and opens a searcher over them. */
async function bankOf(model, folder, { tell, adapter }) {
  const names = (await readdir(folder, { recursive: true })).filter((name) => IMAGE.test(name))
  const files = []
  let [features, skipped] = [new Float32Array(0), 0]
  for await (const one of model.embedAll(names.sort().map((name) => join(folder, name)))) {
    if (one.features === null) {
      skipped++
      tell(one.reason)
      continue
    }
    const D = one.features.length
    if (files.length === 0) features = new Float32Array(names.length * D)
    features.set(one.features, files.length * D)
    files.push(names[one.index])
    if (files.length % 1000 === 0) tell(`embedded ${files.length} of ${names.length} images`)
  }
  if (files.length === 0) throw new Error(`${folder} must hold images, found none that can be read`)
  tell(`embedded ${files.length} images of ${folder}, left out ${skipped}`)
  const D = features.length / names.length
  const rows = { features: features.slice(0, files.length * D), M: files.length, D }
  const open = () => openGpu(adapter === undefined ? {} : { adapter })
  return { files, searcher: await openSearcher(rows, { open, normalized: true }) }
}

/** What a path answers to a method. */
const routes = {
  '/embed': {
    POST: async (service, request) => ({ features: [...(await embed(service, request))] }),
  },
  '/search': { POST: search },
  '/health': { GET: health },
  '/stats': { GET: stats },
}

async function answer(service, request, response) {
  const end = new AbortController()
  const words = `no answer within ${limits.request / 1000} seconds`
  const late = setTimeout(() => end.abort(new Refusal(504, words)), limits.request)
  response.on('close', () => {
    clearTimeout(late)
    end.abort(new Refusal(499, 'the client left')) // of use only while it is computed
  })
  try {
    const url = urlOf(request)
    checkHost(request)
    const route = Object.hasOwn(routes, url.pathname) ? routes[url.pathname] : null
    if (!route) throw new Refusal(404, `there is nothing at ${url.pathname}`)
    const act = Object.hasOwn(route, request.method) ? route[request.method] : null
    const allow = Object.keys(route).join(', ')
    if (!act) throw new Refusal(405, `${url.pathname} takes ${allow}`, { Allow: allow })
    send(response, 200, await act(service, Object.assign(request, { signal: end.signal, url })))
  } catch (error) {
    const { status, message, headers } = refusalOf(error)
    // what is left of a body that was not read would be taken for the next request
    if (!request.complete) headers['Connection'] = 'close'
    send(response, status, { error: message }, headers)
  }
}

function urlOf({ url }) {
  try {
    return new URL(url, 'http://localhost')
  } catch {
    throw new Refusal(400, 'the request names no path')
  }
}

/** Refuses names other than this machine's own on a loopback address: a page of another site could
 *  otherwise reach the service under a name of its own. */
function checkHost({ headers, socket }) {
  const name = (headers.host ?? '').replace(/:\d+$/, '')
  const isLoopback = /^(::ffff:)?127\.|^::1$/.test(socket.localAddress ?? '')
  if (isLoopback && !/^(localhost|127\.[\d.]+|\[::1\])$/.test(name))
    throw new Refusal(403, 'this service answers only to localhost')
}

function send(response, status, value, headers = {}) {
  if (response.headersSent || response.destroyed) return
  const body = `${JSON.stringify(value)}\n`
  response.writeHead(status, { 'Content-Type': 'application/json', ...headers })
  response.end(body)
}

/** Returns the status and the words of an error. Errors of the service's own stay inside. */
function refusalOf(error) {
  if (error instanceof Refusal) return error
  if (error instanceof QueueFullError)
    return new Refusal(503, error.message, { 'Retry-After': '1' })
  if (error instanceof ClosedError) return new Refusal(503, 'the service is closing')
  if (error instanceof DataError) return new Refusal(422, error.message)
  if (error instanceof DeviceLostError) return new Refusal(503, 'the GPU was lost; try again')
  console.error(error)
  return new Refusal(500, 'the service failed; its log says why')
}

/** Embeds the image in the body, which is read when there is room for it. */
async function embed({ model }, request) {
  if (/^multipart\//i.test(request.headers['content-type'] ?? ''))
    throw new Refusal(415, 'post the image itself, not a form: curl --data-binary @image.jpg')
  const { 'content-length': length } = request.headers
  if (Number(length) > limits.body) throw tooLarge()
  return model.embed(() => bodyOf(request), { signal: request.signal })
}

const tooLarge = () => new Refusal(413, `an image may have ${limits.body} bytes at most`)

async function bodyOf(request) {
  const chunks = []
  let bytes = 0
  for await (const chunk of request) {
    bytes += chunk.length
    if (bytes > limits.body) throw tooLarge()
    chunks.push(chunk)
  }
  return Buffer.concat(chunks)
}

async function search(service, request) {
  const { bank } = service
  if (!bank) throw new Refusal(404, 'there is nothing to search; start the service with --images')
  const asked = request.url.searchParams.get('k') ?? '10'
  const k = /^\d{1,9}$/.test(asked) ? Number(asked) : NaN
  if (!(k >= 1 && k <= limits.k))
    throw new Refusal(400, `k must be a whole number from 1 to ${limits.k}`)
  const features = await embed(service, request)
  const query = { features, M: 1, D: features.length }
  const { indices, similarities } = await bank.searcher.nearest(query, k, {
    signal: request.signal,
  })
  return {
    neighbours: Array.from(indices, (index, i) => ({
      file: bank.files[index],
      similarity: similarities[i],
    })),
  }
}

function health({ isClosing }) {
  if (isClosing) throw new Refusal(503, 'the service is closing')
  return { status: 'ok' }
}

function stats({ model, bank }) {
  const searcher = bank ? bank.searcher.stats() : null
  return { embedder: model.stats(), searcher, rss: process.memoryUsage.rss() }
}

/** Takes no more requests, finishes those under way, and closes everything. Resolves to false when
 *  some were cut off after `limits.drain`. */
async function close(service, server) {
  service.isClosing = true
  const ended = new Promise((resolve) => server.close(() => resolve(true)))
  server.closeIdleConnections()
  const late = setTimeout(() => server.closeAllConnections(), limits.drain)
  const began = performance.now()
  await ended
  clearTimeout(late)
  await Promise.all([service.model.close(), service.bank?.searcher.close()])
  return performance.now() - began < limits.drain
}
