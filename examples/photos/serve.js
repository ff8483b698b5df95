// Builds the page and serves it on loopback: npm run example [-- --port 8100]

import { readFile } from 'node:fs/promises'
import { createServer } from 'node:http'
import { extname, join, normalize, sep } from 'node:path'
import { parseArgs } from 'node:util'
import { buildPage, built } from './build.js'
import { headers } from './policy.js'

const kinds = {
  '.html': 'text/html; charset=utf-8',
  '.js': 'text/javascript; charset=utf-8',
  '.css': 'text/css; charset=utf-8',
}

const { values } = parseArgs({ options: { port: { type: 'string', default: '8100' } } })
const port = Number(values.port)
if (!(Number.isInteger(port) && port >= 0 && port < 65536)) {
  console.error(`--port must be a whole number below 65536, got ${values.port}`)
  process.exit(2)
}

await buildPage()
const server = createServer(async (request, response) => {
  try {
    const { pathname } = new URL(request.url ?? '/', 'http://localhost') // throws for //
    const file = normalize(join(built, pathname.endsWith('/') ? 'index.html' : pathname))
    const kind = kinds[extname(file)]
    if (!kind || !file.startsWith(built + sep)) throw new Error('no file of the page')
    const body = await readFile(file)
    response.writeHead(200, { ...headers, 'Content-Type': kind })
    response.end(body)
  } catch {
    response.writeHead(404, headers)
    response.end()
  }
})
server.on('error', (error) => {
  console.error(`port ${port} cannot be used (${error.code}); give another with -- --port`)
  process.exitCode = 1
})
server.listen(port, '127.0.0.1', () => {
  console.log(`the page is at http://localhost:${server.address().port}/ (Ctrl-C ends it)`)
})
