// Words about counts.

/** A count with its noun: '1 image', '2 images', '2 classes'. */
export const counted = (count: number, one: string, many = `${one}s`): string =>
  `${count} ${count === 1 ? one : many}`

/** The verb for so many: 'is' or 'are'. */
export const are = (count: number): string => (count === 1 ? 'is' : 'are')
