// The words of messages about a run folder: code for a library's user, commands for the command
// line.

import type { Other } from '../training/storage.ts'

/** Words for what the user does. */
export interface Words {
  /** Says how to resume the run of this method in `dir`, with other settings if given. */
  readonly goOn: (method: string, dir: string, other?: Other) => string
  /** Names a setting. */
  readonly nameOf: (setting: string) => string
  /** Says where else to begin a run. */
  readonly elsewhere: string
}

/** Words for a program that uses the library. */
export const inCode: Words = {
  goOn: (_, dir, other = {}) => {
    const changes = Object.entries(other).map(([name, value]) => `${name} ${value}`)
    const more = changes.length > 0 ? `, with ${changes.join(', ')} in its config.json` : ''
    return `train(gpu, data, await runFolder(${JSON.stringify(dir)}))${more}`
  },
  nameOf: (setting) => setting,
  elsewhere: 'another folder',
}
