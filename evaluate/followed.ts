// How far a comparison of many features is.

import { callback } from '../kernels/options.ts'

/** Options of a function that tells how far it is. */
export interface Followed {
  /** Called with the pairs of features that have been compared, and those of all. `total` is
   *  Infinity where features come in parts. */
  readonly onProgress?:
    | ((progress: { readonly done: number; readonly total: number }) => void)
    | undefined
}

/** The rule of that option. */
export const followed = { onProgress: callback }
