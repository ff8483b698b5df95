// The project's version, from its package.json.

import { readFileSync } from 'node:fs'

/** The version in the package.json nearest above this file; '0.0.0' when it was bundled without
 *  one. */
export function kindredVersion(): string {
  for (const up of ['..', '../..', '../../..']) {
    try {
      const text = readFileSync(new URL(`${up}/package.json`, import.meta.url), 'utf8')
      const { name, version: found } = JSON.parse(text) as { name?: string; version?: string } // npm's own format
      if (name === 'kindred' && found) return found
    } catch {
      continue // not there: look one folder further up
    }
  }
  return '0.0.0'
}
