// Contestants as seen by the bench: child processes that answer questions (see child.js).

import { spawn } from 'node:child_process'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'

const program = fileURLToPath(new URL('child.js', import.meta.url))
const bench = new URL('../', import.meta.url)

/** The command that starts a contestant. One with a Python interpreter is its own program. */
function commandOf({ module, python }) {
  const path = fileURLToPath(new URL(module, bench))
  return python ? [python, [path, '--serve']] : [process.execPath, [program, path]]
}

/** Starts the process of a contestant {module, python}. `ask` resolves to its answer, and rejects
 *  with the error it tells, when it ends, or when it says nothing for `patience` seconds. */
export function startChild(entrant, patience) {
  const [command, args] = commandOf(entrant)
  const child = spawn(command, args, { stdio: ['pipe', 'pipe', 'pipe'] })
  let waiting = null
  let told = ''
  const settle = (how, value) => {
    const { resolve, reject, late } = waiting ?? {}
    waiting = null
    clearTimeout(late)
    if (how === 'answer') resolve?.(value)
    else reject?.(new Error(value))
  }
  child.stderr.on('data', (chunk) => (told = (told + chunk).slice(-2000)))
  createInterface({ input: child.stdout }).on('line', (line) => {
    if (!line.startsWith('{"answer"')) return
    const { answer } = JSON.parse(line)
    if (process.env.BENCH_DEBUG && answer.stack) console.error(answer.stack)
    settle(answer.error ? 'error' : 'answer', answer.error ?? answer)
  })
  child.on('error', (error) => settle('error', error.message))
  child.on('exit', (code, signal) =>
    settle('error', `its process ended (${signal ?? `exit code ${code}`}) ${told}`),
  )
  child.stdin.on('error', () => {}) // it has ended; 'exit' says so

  return {
    ask(question) {
      return new Promise((resolve, reject) => {
        if (child.exitCode !== null || child.signalCode !== null) {
          reject(new Error(`its process has ended ${told}`))
          return
        }
        const late = setTimeout(() => {
          child.kill('SIGKILL')
          settle('error', `no answer in ${patience} s`)
        }, patience * 1000)
        waiting = { resolve, reject, late }
        child.stdin.write(`${JSON.stringify(question)}\n`)
      })
    },
    /** Ends the process; resolves when it is gone and its memory with it. */
    async end() {
      if (child.exitCode !== null || child.signalCode !== null) return
      const gone = new Promise((resolve) => child.once('exit', resolve))
      child.stdin.end()
      const stuck = setTimeout(() => child.kill('SIGKILL'), 5000)
      await gone
      clearTimeout(stuck)
    },
  }
}
