// Tests the server of --watch: what it answers, and what it refuses.

import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { type IncomingHttpHeaders, get, request } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { serveReport } from '../../../cli/report/serve.ts'
import { createRun } from '../../../run-folder/open.ts'
import type { RunFolder } from '../../../run-folder/run-folder.ts'

const test = suite<{
  dir: string
  run: RunFolder
  served: Awaited<ReturnType<typeof serveReport>>
}>('serve')
test.before.each(async (context) => {
  context.dir = mkdtempSync(join(tmpdir(), 'kindred-'))
  context.run = await createRun(join(context.dir, 'a'), { method: 'simclr' })
  context.run.append({ step: 1, loss: 5 })
  context.served = await serveReport(join(context.dir, 'a'), 0)
})
test.after.each(async ({ dir, run, served }) => {
  await served.close()
  await run.close()
  rmSync(dir, { recursive: true })
})

interface Answer {
  readonly status: number | undefined
  readonly headers: IncomingHttpHeaders
  readonly body: string
}

/** Asks for a path as it is written, with other headers or another method. */
const ask = (url: string, path = '/', headers: Record<string, string> = {}, method = 'GET') =>
  new Promise<Answer>((resolve, reject) => {
    const { hostname, port } = new URL(url)
    const asked = request({ hostname, port, path, headers, method }, (response) => {
      let body = ''
      response.on('data', (chunk) => (body += String(chunk)))
      response.on('end', () =>
        resolve({ status: response.statusCode, headers: response.headers, body }),
      )
    })
    asked.on('error', reject).end()
  })

test('serves the page and the files of the run, under a strict policy', async ({ served, run }) => {
  const { status, headers, body } = await ask(served.url)
  assert.is(status, 200)
  assert.match(body, /"isLive":true/)
  const policy = String(headers['content-security-policy'])
  assert.match(policy, /^default-src 'none'; script-src 'sha256-[^']+'; style-src 'sha256-/)
  assert.match(policy, /connect-src 'self'; .*frame-ancestors 'none'$/)
  assert.not.match(policy, /unsafe|\*|https?:/)
  assert.is(headers['x-content-type-options'], 'nosniff')
  assert.is(headers['cross-origin-resource-policy'], 'same-origin')
  assert.is((await ask(served.url, '/metrics.jsonl')).body, '{"step":1,"loss":5}\n')
  run.append({ step: 2, loss: 4 })
  assert.match((await ask(served.url)).body, /"x":\[1,2\]/)
})

test('refuses foreign hosts, other files and other methods', async ({ served, dir }) => {
  writeFileSync(join(dir, 'secret'), 'secret')
  const { port } = new URL(served.url)
  const statusOf = async (
    ...asked: [path?: string, headers?: Record<string, string>, method?: string]
  ) => (await ask(served.url, ...asked)).status
  for (const host of ['evil.example', `evil.example:${port}`, `127.0.0.1.evil.example:${port}`])
    assert.is(await statusOf('/', { host }), 403, host)
  assert.is(await statusOf('/', { host: `localhost:${port}` }), 200)
  for (const path of [
    '/../secret',
    '/%2e%2e/secret',
    '/lock',
    '/checkpoints',
    '/constructor',
    '/x',
  ])
    assert.is(await statusOf(path), 404, path)
  assert.is(await statusOf('/report.json'), 404) // not measured yet
  for (const method of ['POST', 'PUT', 'DELETE', 'OPTIONS'])
    assert.is(await statusOf('/', {}, method), 405, method)
})

test('listens on this machine alone, on another port if one is in use', async ({ served, dir }) => {
  const { port } = new URL(served.url)
  const second = await serveReport(join(dir, 'a'), Number(port))
  assert.match(second.url, /^http:\/\/127\.0\.0\.1:\d+\/$/)
  assert.is.not(second.url, served.url)
  assert.is((await ask(second.url)).status, 200)
  await second.close()
})

test('tells an open page of a change, and of the last before it ends', async ({ run, dir }) => {
  const own = await serveReport(join(dir, 'a'), 0)
  let told = ''
  const changes = () => told.split('event: changed').length - 1
  const ended = new Promise<void>((resolve) => {
    get(`${own.url}events`, (response) => {
      response.on('data', (chunk) => {
        told += String(chunk)
        if (changes() === 1) void own.close() // once the change is told
        if (changes() === 2) void ask(own.url).catch(() => undefined)
      })
      response.on('end', resolve)
      run.append({ step: 3, loss: 3 })
    })
  })
  await ended
  assert.is(changes(), 2)
})

test.run()
