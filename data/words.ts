// Writes counts into sentences.

/** Writes a count with its noun: '1 image', '2 images', '2 classes'. */
export const counted = (count: number, one: string, many = `${one}s`): string =>
  `${count} ${count === 1 ? one : many}`

/** Returns 'is' for one, 'are' for any other count. */
export const are = (count: number): string => (count === 1 ? 'is' : 'are')
