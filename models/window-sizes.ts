// Sizes of a convolution's window.

/** A size of rows and of columns. */
export type Sides = readonly [rows: number, columns: number]

/** A size as a pair; a number stands for both. */
export const pair = (size: number | Sides): Sides =>
  typeof size === 'number' ? [size, size] : size

/** Pixels of padding that keep an image's size under an odd kernel at stride 1. */
export const keeping = (size: number | Sides): Sides => {
  const [rows, columns] = pair(size)
  return [(rows - 1) / 2, (columns - 1) / 2]
}
