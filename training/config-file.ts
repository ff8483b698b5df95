// config.json as text.

import { isObject, objectFault, parse } from './json.ts'
import type { Config } from './storage.ts'

/** Returns the configuration in the text of config.json, with today's names of settings, or what
 *  keeps it from being one. */
export function configIn(text: string): { readonly config: Config } | { readonly fault: string } {
  const config = parse(text)
  const fault = objectFault(text)
  return fault === null && isObject(config)
    ? { config: withTodaysNames(config) }
    : { fault: fault ?? 'it is not a JSON object' }
}

/** Renames the settings of older versions: SimCLR's head `leftthomas` was `seed`. */
function withTodaysNames(config: Config): Config {
  const { head } = config
  if (!isObject(head) || head['style'] !== 'seed') return config
  return { ...config, head: { ...head, style: 'leftthomas' } }
}

/** Returns the bytes of config.json. */
export const configBytes = (config: Config) =>
  new TextEncoder().encode(`${JSON.stringify(config, null, 2)}\n`)
