// The project's version, from its package.json.

import { readFileSync } from 'node:fs'

/** Returns the version in the nearest package.json above this file, '0.0.0' in a bundle without
 *  one. */
export function kindredVersion(): string {
  for (const up of ['..', '../..', '../../..']) {
    try {
      const text = readFileSync(new URL(`${up}/package.json`, import.meta.url), 'utf8')
      const { name, version: found } = JSON.parse(text) as { name?: string; version?: string }
      if (name === 'kindred' && found) return found
    } catch {
      continue // look one folder up
    }
  }
  return '0.0.0'
}
