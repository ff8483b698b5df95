// One task in a process group of its own, for so long and no longer.

import { spawn } from 'node:child_process'
import { fileURLToPath } from 'node:url'

const root = fileURLToPath(new URL('../../', import.meta.url))
const GRACE = 5000 // ms from the first signal, at which a training saves, to the last

/** Starts a task { args }. `done` resolves to { status, took, results, error }: status is 'done',
 *  'failed', 'out of time' after `limit` seconds, or 'stopped' after `stop()`; results are the JSON
 *  that it printed, what a task printed before it was ended among them. */
export function start({ args }, limit) {
  const began = performance.now()
  const child = spawn(process.execPath, args, {
    cwd: root,
    detached: true, // a group: what the task starts ends with it
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  let [printed, said, ended] = ['', '', null]
  child.stdout.on('data', (chunk) => (printed += chunk))
  child.stderr.on('data', (chunk) => (said = (said + chunk).slice(-4000)))
  const signal = (name) => {
    const { pid } = child
    if (pid === undefined) return // it did not start
    try {
      process.kill(-pid, name)
    } catch {
      // the group is gone
    }
  }
  const end = (why) => {
    ended ??= why
    signal('SIGINT')
    setTimeout(() => signal('SIGKILL'), GRACE).unref()
  }
  const late = setTimeout(() => end('out of time'), 1000 * limit)
  const done = new Promise((resolve) => {
    const finish = (code, cause) => {
      clearTimeout(late)
      signal('SIGKILL') // what it left behind
      const status = ended ?? (code === 0 ? 'done' : 'failed')
      const error = status === 'failed' ? messageOf(said, cause) : undefined
      const took = (performance.now() - began) / 1000 // s
      resolve({ status, took, results: parsed(printed), error })
    }
    child.on('error', (error) => finish(1, error.message))
    child.on('close', (code, name) => finish(code, name ? `ended by ${name}` : `exit code ${code}`))
  })
  return { done, stop: () => end('stopped') }
}

/** The JSON in a program's output: one value, or a line each. */
function parsed(text) {
  const whole = json(text)
  if (whole !== undefined) return [whole]
  return text
    .split('\n')
    .filter((line) => line.startsWith('{'))
    .map(json)
    .filter((value) => value !== undefined)
}

function json(text) {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

/** The last thing that a program said of an error, without Dawn's warnings and stacks. */
function messageOf(said, cause) {
  const lines = said
    .split('\n')
    .filter((line) => line.trim() && !/^(Warning:|\s+at |Node\.js)/.test(line))
  const named = lines.findLast((line) => /error|wrong|failed|cannot|must/i.test(line))
  return `${(named ?? lines.at(-1) ?? 'it said nothing').trim().slice(0, 300)} (${cause})`
}
