// The error of a file that a page could not store.

import { web } from './web.ts'

/** Makes the Error for a failed write of `bytes` bytes: the cause in words, then the remedy. */
export async function writeFailure(path: string, cause: unknown, bytes: number): Promise<Error> {
  const [name, message] = cause instanceof Error ? [cause.name, cause.message] : ['', String(cause)]
  const why =
    name === 'QuotaExceededError'
      ? `this page may store no more (needs ${megabytes(bytes)}${await room()}); what was stored ` +
        'before is intact: remove other runs by removeRun, or save this one by packRun'
      : `${message}; what was stored before is intact`
  return new Error(`${path} was not stored: ${why}`, { cause })
}

/** Says how much of its room the page uses, where the browser tells. */
async function room(): Promise<string> {
  const { usage, quota } =
    (await web()
      .storage?.estimate?.()
      .catch(() => undefined)) ?? {}
  if (usage === undefined || quota === undefined) return ''
  return `, and uses ${megabytes(usage)} of ${megabytes(quota)}`
}

const megabytes = (bytes: number) =>
  bytes < 1e6 ? `${Math.ceil(bytes / 1e3)} KB` : `${Math.ceil(bytes / 1e6)} MB`
