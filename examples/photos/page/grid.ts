// Pictures in rows.

/** Places of `count` pictures in rows, in a rectangle of this ratio of width to height. */
export function gridOf(count: number, ratio: number): Float32Array {
  const columns = Math.max(1, Math.ceil(Math.sqrt(count * ratio)))
  return Float32Array.from({ length: 2 * count }, (_, at) => {
    const i = at >> 1
    return at % 2 === 0 ? i % columns : Math.floor(i / columns)
  })
}
