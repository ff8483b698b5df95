// What the tests of pictures do in a page.

import { batches, imageDataset, openGpu, readImages } from '../../dist/index.js'

/** Reads one picture in every form that a page has. */
export async function everyKind([encoded, size]) {
  const bytes = Uint8Array.from(atob(encoded), (c) => c.codePointAt(0) ?? 0)
  const file = new File([bytes], 'four.png', { type: 'image/png' })
  const bitmap = await createImageBitmap(file, { premultiplyAlpha: 'none' })
  const canvas = document.createElement('canvas')
  const offscreen = new OffscreenCanvas(bitmap.width, bitmap.height)
  Object.assign(canvas, { width: bitmap.width, height: bitmap.height })
  canvas.getContext('2d')?.drawImage(bitmap, 0, 0)
  const context = offscreen.getContext('2d')
  context?.drawImage(bitmap, 0, 0)
  const data = context?.getImageData(0, 0, bitmap.width, bitmap.height)
  const element = new Image()
  element.src = URL.createObjectURL(file)
  await element.decode()
  const frame = new VideoFrame(canvas, { timestamp: 0 })
  const gpu = await openGpu()
  const pictures = [bitmap, canvas, offscreen, frame, element, file, new Blob([bytes]), data]
  const { images, skipped } = await readImages(gpu, pictures, { size })
  const values = [...(await gpu.read(images))]
  const alive = [bitmap.width, frame.displayWidth] // stay the caller's
  frame.close()
  gpu.destroy()
  return { values, skipped, alive }
}

/** Makes a data set of files, some turned, some broken. */
export async function uprightFiles(files) {
  const gpu = await openGpu()
  const jpeg = { type: 'image/jpeg' }
  const decoded = files.map((one) => Uint8Array.from(atob(one), (c) => c.codePointAt(0) ?? 0))
  const closed = new ImageData(4, 4)
  structuredClone(closed.data.buffer, { transfer: [closed.data.buffer] })
  const gone = await createImageBitmap(new ImageData(4, 4))
  gone.close()
  const cut = decoded[0]?.slice(0, 200) ?? new Uint8Array(0)
  const given = [
    ...decoded.map((bytes, i) => new File([bytes], `${i}.jpg`, jpeg)),
    new File(['this is a text'], 'notes.jpg', jpeg),
    new File([], 'empty.jpg', jpeg),
    new File(['%PDF-1.7'], 'paper.jpg', jpeg),
    new File([cut], 'cut.jpg', jpeg),
    new File(['<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"/>'], 'a.svg', {
      type: 'image/svg+xml',
    }),
    closed,
    gone,
  ]
  const set = await imageDataset(gpu, given, { size: 12, fit: 'fill' })
  const images = []
  for await (const batch of batches(set, { batch: 1, seed: 0, epoch: 0, shuffle: false }))
    images.push([...batch.images])
  gpu.destroy()
  return { images, skipped: set.skipped, files: set.files }
}

/** Reads a picture wider than a texture, and many files, counting bitmaps. */
export async function wideAndMany() {
  const gpu = await openGpu()
  const wide = new OffscreenCanvas(gpu.device.limits.maxTextureDimension2D + 4000, 40)
  const context = wide.getContext('2d')
  if (!context) throw new Error('no canvas')
  context.fillStyle = 'rgb(200 100 50)'
  context.fillRect(0, 0, wide.width, 40)
  const { images } = await readImages(gpu, [wide], { size: 4, fit: 'fill' })
  const values = [...(await gpu.read(images))]
  const tile = new OffscreenCanvas(16, 16)
  tile.getContext('2d')?.fillRect(0, 0, 8, 16)
  const blob = await tile.convertToBlob()
  let [open, most] = [0, 0]
  const original = globalThis.createImageBitmap
  globalThis.createImageBitmap = async (...given) => {
    const bitmap = await original(...given)
    most = Math.max(most, ++open)
    const close = bitmap.close.bind(bitmap)
    bitmap.close = () => {
      open--
      close()
    }
    return bitmap
  }
  const set = await imageDataset(
    gpu,
    Array.from({ length: 200 }, () => blob),
    { size: 8 },
  )
  gpu.destroy()
  return { values, most, open, size: set.size }
}
