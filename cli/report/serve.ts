// Serves the page of a run on this machine alone, and tells it when the run's files have changed.

import { createReadStream } from 'node:fs'
import { stat } from 'node:fs/promises'
import { type IncomingMessage, type Server, type ServerResponse, createServer } from 'node:http'
import { codeOf } from '../../engine/node-files.ts'
import { readRun } from '../runs.ts'
import { policy } from './page.ts'
import { reportPage } from './write.ts'

const HOST = '127.0.0.1'
/** Port of the page unless another is given. */
export const PORT = 7007
const EVERY = 1000 // milliseconds between looks at the files
const LAST = 1500 // milliseconds that pages have to fetch the last state

/** The run's files that are served, by name. */
const files: Readonly<Record<string, string>> = {
  'config.json': 'application/json',
  'metrics.jsonl': 'text/plain',
  'timings.jsonl': 'text/plain',
  'report.json': 'application/json',
}

/** A page that is served. */
export interface Served {
  readonly url: string
  /** Lets open pages fetch the last state, and ends. */
  close(): Promise<void>
}

/** Serves the page of the run in `dir` until `close`. Takes another free port if `port` is in use.
 *  Throws Error if it cannot listen. */
export async function serveReport(dir: string, port: number = PORT): Promise<Served> {
  const pages = new Set<ServerResponse>() // open connections that wait for changes
  let [known, body] = ['', '']
  let fetched = () => {}
  const pageNow = async () => {
    const now = await stateOf(dir)
    if (now !== known) [known, body] = [now, await reportPage(await readRun(dir), { isLive: true })]
    return body
  }
  const server = createServer((request, response) => {
    void answer(request, response, { dir, pageNow, pages, port: portOf(server) }).then((what) => {
      if (what === 'page') fetched()
    })
  })
  await listen(server, port)
  let told = await stateOf(dir)
  const tell = () => pages.forEach((page) => page.write('event: changed\ndata:\n\n'))
  const look = setInterval(() => {
    void stateOf(dir).then((now) => {
      if (now !== told) tell()
      told = now
    })
  }, EVERY)
  look.unref()
  return {
    url: `http://${HOST}:${portOf(server)}/`,
    async close() {
      clearInterval(look)
      if (pages.size > 0) {
        const done = new Promise<void>((resolve) => (fetched = resolve))
        tell()
        await Promise.race([done, new Promise((resolve) => setTimeout(resolve, LAST))])
      }
      for (const page of pages) page.end()
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}

interface Serving {
  readonly dir: string
  readonly port: number
  readonly pageNow: () => Promise<string>
  readonly pages: Set<ServerResponse>
}

/** Answers a request. Resolves to 'page' if it was for the page. */
async function answer(
  request: IncomingMessage,
  response: ServerResponse,
  { dir, port, pageNow, pages }: Serving,
): Promise<'page' | null> {
  for (const [name, value] of Object.entries(headers)) response.setHeader(name, value)
  const { method = '', headers: given, url = '' } = request
  if (!hosts(port).includes(given.host ?? ''))
    return refuse(response, 403, 'this host is not served')
  if (method !== 'GET' && method !== 'HEAD') return refuse(response, 405, 'only GET is served')
  const name = url.slice(1)
  if (name === 'events') return follow(request, response, pages)
  const type = Object.hasOwn(files, name) ? files[name] : undefined
  if (type !== undefined) return send(response, `${dir}/${name}`, type)
  if (name !== '') return refuse(response, 404, 'there is no such page')
  const page = await pageNow().catch((error: unknown) => error)
  if (typeof page !== 'string') return refuse(response, 500, String(page))
  response.setHeader('content-type', 'text/html; charset=utf-8')
  response.end(method === 'HEAD' ? '' : page)
  return 'page'
}

const headers = {
  'content-security-policy': `${policy(true)}; frame-ancestors 'none'`,
  'cross-origin-resource-policy': 'same-origin',
  'cross-origin-opener-policy': 'same-origin',
  'referrer-policy': 'no-referrer',
  'x-content-type-options': 'nosniff',
  'cache-control': 'no-store',
} as const

/** The names under which the page is asked for. Another is that of a foreign site, whose address
 *  was made this machine's (DNS rebinding). */
const hosts = (port: number) => ['127.0.0.1', 'localhost'].map((name) => `${name}:${port}`)

function refuse(response: ServerResponse, status: number, why: string): null {
  response.writeHead(status, { 'content-type': 'text/plain; charset=utf-8' }).end(`${why}\n`)
  return null
}

/** Keeps a connection open, on which changes are told. */
function follow(request: IncomingMessage, response: ServerResponse, pages: Set<ServerResponse>) {
  response.writeHead(200, { 'content-type': 'text/event-stream' }).write('retry: 2000\n\n')
  pages.add(response)
  request.on('close', () => pages.delete(response))
  return null
}

/** Sends a file of the run. */
async function send(response: ServerResponse, path: string, type: string) {
  const found = await stat(path).catch(() => null)
  if (!found?.isFile()) return refuse(response, 404, 'the run has no such file yet')
  response.setHeader('content-type', `${type}; charset=utf-8`)
  createReadStream(path)
    .on('error', () => response.destroy())
    .pipe(response)
  return null
}

/** Describes the files of a run: their sizes and times. */
async function stateOf(dir: string): Promise<string> {
  const found = await Promise.all(
    Object.keys(files).map((name) => stat(`${dir}/${name}`).catch(() => null)),
  )
  return found.map((file) => (file ? `${file.size} ${file.mtimeMs}` : '-')).join()
}

function portOf(server: Server): number {
  const at = server.address()
  return typeof at === 'object' && at ? at.port : 0
}

/** Listens on a port of this machine alone, or on a free one if it is in use. */
async function listen(server: Server, port: number): Promise<void> {
  const on = (wanted: number) =>
    new Promise<void>((resolve, reject) => {
      server.once('error', reject)
      server.listen(wanted, HOST, () => {
        server.off('error', reject)
        resolve()
      })
    })
  await on(port).catch((error: unknown) => {
    if (codeOf(error) !== 'EADDRINUSE' && codeOf(error) !== 'EACCES') throw error
    return on(0)
  })
}
