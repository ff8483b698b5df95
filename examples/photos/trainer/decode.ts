// Reads files as square pictures. Whatever the browser cannot decode is named, with the reason.

import type { GivenFile, SkippedFile } from '../common/api.ts'
import { drawingContext, opaque } from './rescale.ts'

/** Pictures that were read, in the order of their files, and files that were not. */
export interface DecodedFiles {
  readonly names: readonly string[]
  /** u8 [N, side, side, 3]. */
  readonly pixels: Uint8Array<ArrayBuffer>
  readonly skipped: readonly SkippedFile[]
}

interface Decoding {
  readonly side: number
  /** Called after each file with the pictures so far. */
  readonly onFile: (files: number, pictures: number, pixels: Uint8Array) => void
  readonly isStopped: () => boolean
}

/** Decodes files one after another: a browser decodes one picture on several cores, and memory
 *  holds one full picture at a time. */
export async function decodeFiles(
  files: readonly GivenFile[],
  { side, onFile, isStopped }: Decoding,
): Promise<DecodedFiles> {
  const stride = side * side * 3
  const room = new Uint8Array(files.length * stride)
  const context = drawingContext(side, side)
  const names: string[] = []
  const skipped: SkippedFile[] = []
  for (const [n, { path, file }] of files.entries()) {
    if (isStopped()) break
    const problem = await drawn(file, context)
    if (problem === null) {
      const { data } = context.getImageData(0, 0, side, side)
      opaque(data, room, names.length * stride)
      names.push(path)
    } else skipped.push({ path, reason: problem })
    onFile(n + 1, names.length, room)
  }
  return { names, skipped, pixels: room.slice(0, names.length * stride) }
}

/** Draws the middle square of a file, upright by its EXIF orientation. Returns why it cannot, else
 *  null. */
async function drawn(
  file: File,
  context: OffscreenCanvasRenderingContext2D,
): Promise<string | null> {
  if (file.size === 0) return 'the file is empty'
  let bitmap: ImageBitmap
  try {
    bitmap = await createImageBitmap(file, { imageOrientation: 'from-image' })
  } catch (error) {
    return reasonOf(file, error)
  }
  const { width, height } = bitmap
  const { width: side } = context.canvas
  const middle = Math.min(width, height)
  context.fillStyle = '#fff' // behind what is transparent
  context.fillRect(0, 0, side, side)
  const [x, y] = [(width - middle) / 2, (height - middle) / 2]
  context.drawImage(bitmap, x, y, middle, middle, 0, 0, side, side)
  bitmap.close()
  return null
}

const LARGE = 40e6 // bytes of a file that may be too large to decode

function reasonOf({ name, size, type }: File, error: unknown): string {
  if (/\.hei[cf]$/i.test(name) || /hei[cf]/.test(type))
    return 'this browser cannot read HEIC; export the picture as JPEG'
  if (error instanceof DOMException && error.name === 'NotReadableError')
    return 'the file cannot be read; it may have moved, or its permissions forbid it'
  if (size > LARGE)
    return 'the browser cannot decode it: it is damaged, or too large; a smaller copy may work'
  return 'the browser cannot decode it: it is damaged, or no picture'
}
