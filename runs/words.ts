// How messages about a run folder name what the user does: in code, or on a command line.

import type { Other } from '../training/storage.ts'

/** Words of a user's remedies. */
export interface Words {
  /** Goes on with the run of this method in `dir`, with other settings if any are given. */
  readonly goOn: (method: string, dir: string, other?: Other) => string
  /** Names a setting. */
  readonly nameOf: (setting: string) => string
  /** Where to begin anew. */
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
