// Serves the whole images of a folder, beside their middle squares. Each has its own size, up to a
// limit, in a space that holds the largest. So a random crop comes from anywhere in an image, with
// all the pixels that are there.

import { type Dataset, type Originals, checkRead } from './dataset.ts'
import type { Store } from './image-store.ts'

/** Makes the `originals` of a set. Its records hold squares of `size`, then the whole images.
 *  Returns {} when all whole images are squares of `size`. */
export function originalsOf({ files, records }: Store, size: number): Pick<Dataset, 'originals'> {
  if (files.every(({ height, width }) => height === size && width === size)) return {}
  const most = (of: (file: Store['files'][number]) => number) =>
    files.reduce((a, file) => Math.max(a, of(file)), 0)
  const image = {
    height: most((file) => file.height),
    width: most((file) => file.width),
    channels: 3,
  }
  const all = files.every(({ height, width }) => height === image.height && width === image.width)
  const from = size ** 2 * 3
  const row = image.width * 3
  const read: Originals['read'] = async (indices, out) => {
    const bytes = image.height * row
    checkRead({ name: 'folder', size: files.length }, bytes, indices, out)
    const one = async (index: number, n: number) => {
      const { slot = 0, height = 0, width = 0 } = files[index] ?? {}
      const packed = new Uint8Array(height * width * 3)
      await records.read([slot], packed, { from, length: packed.length })
      const space = out.subarray(n * bytes, (n + 1) * bytes).fill(0)
      for (let y = 0; y < height; y++)
        space.set(packed.subarray(y * width * 3, (y + 1) * width * 3), y * row)
    }
    await Promise.all(Array.from(indices, one))
  }
  const extents = Float32Array.from(files.flatMap(({ height, width }) => [height, width]))
  return { originals: { image, extents: all ? null : extents, read } }
}
