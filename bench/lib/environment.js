// Where and of what a measurement is.

import { execFileSync } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import { cpus } from 'node:os'
import { fileURLToPath } from 'node:url'

const root = new URL('../../', import.meta.url)
const versionOf = (path) => JSON.parse(readFileSync(new URL(path, root), 'utf8')).version

/** Versions, processor and date; the adapter is added when a contestant has opened one. */
export function environment() {
  return {
    date: new Date().toISOString().slice(0, 16).replace('T', ' '),
    kindred: `${versionOf('package.json')}${commit()}`,
    node: process.version,
    dawn: `webgpu ${versionOf('node_modules/webgpu/package.json')}`,
    cpu: `${cpus().length} x ${cpus()[0]?.model ?? 'unknown'}`,
  }
}

function commit() {
  try {
    const git = (...args) =>
      execFileSync('git', args, { cwd: fileURLToPath(root), encoding: 'utf8' }).trim()
    const changed = git('status', '--porcelain', '--untracked-files=no') ? ', changed' : ''
    return ` (${git('rev-parse', '--short', 'HEAD')}${changed})`
  } catch {
    return '' // not a clone
  }
}

/** Whether a package that only the benches need is installed. */
export const isInstalled = (name) =>
  existsSync(new URL(`bench/node_modules/${name}/package.json`, root))

/** Its version. */
export const peerVersion = (name) => versionOf(`bench/node_modules/${name}/package.json`)

/** What a Python interpreter has: torch's version, or why it cannot race. */
export function torchHere(python) {
  const script =
    'import torch; print(torch.__version__, torch.cuda.get_device_name() if torch.cuda.is_available() else "")'
  try {
    const line = execFileSync(python, ['-c', script], {
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'ignore'],
    })
    const [version, ...device] = line.trim().split(' ')
    if (device.length === 0) return { missing: `torch ${version} sees no CUDA device` }
    return { version }
  } catch {
    return { missing: `${python} has no torch` }
  }
}
