// What buffers may be used for.

/** Buffer usages by number: the WebGPU globals exist in browsers but not in Node. */
export const USAGE = {
  MAP_READ: 0x1,
  COPY_SRC: 0x4,
  COPY_DST: 0x8,
  VERTEX: 0x20,
  UNIFORM: 0x40,
  STORAGE: 0x80,
} as const

/** The names of these usages in a bit field. */
export const usageNames = (usage: number): string =>
  Object.entries(USAGE)
    .filter(([, bit]) => (usage & bit) !== 0)
    .map(([name]) => name)
    .join(' | ')
