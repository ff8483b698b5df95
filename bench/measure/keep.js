// Results on disk, whole at any moment: a file is written beside its name, then renamed.

import { mkdirSync, renameSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { markdown } from './report.js'

/** Writes results.json and results.md into the folder. */
export function keep(folder, results) {
  mkdirSync(folder, { recursive: true })
  write(join(folder, 'results.json'), `${JSON.stringify(results, null, 2)}\n`)
  write(join(folder, 'results.md'), markdown(results))
}

function write(path, text) {
  writeFileSync(`${path}.part`, text)
  renameSync(`${path}.part`, path)
}
