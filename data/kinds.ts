// The kinds of data that a source may name: what each is called, and what is known of its images
// before they are opened. Imports nothing of Node; data/open.ts says how each is opened.

import type { Split } from './dataset.ts'

/** A kind of data: a row of `dataKinds`. */
export interface DataKind {
  /** How a source names it: 'cifar10:PATH'. */
  readonly form: string
  /** Its images in a word or two, for lists; absent where the name says it. */
  readonly about?: string
  /** True when a path stands behind the colon. */
  readonly path: boolean
  /** Side in pixels of the views that suit its images; absent where it is the preset's. */
  readonly side?: number
  /** True when images of any size are cut to squares, so that views may be cropped from more. */
  readonly resized?: boolean
  /** Opens both halves; `rest` is what stands behind the colon. Throws DataError. */
  open?(rest: string, options: KindOptions): Split | Promise<Split>
}

/** Options with which a kind is opened: the side of its images, where it is free, and the seed. */
export interface KindOptions {
  readonly size?: number
  readonly seed?: number
}

/** The kinds of data by name. Add a row with an `open`, and `--data` and `openData` take it. */
export const dataKinds = new Map<string, DataKind>([
  ['cifar10', { form: 'cifar10:PATH', path: true, side: 32 }],
  ['cifar100', { form: 'cifar100:PATH', path: true, side: 32 }],
  ['idx', { form: 'idx:PATH', about: 'MNIST family', path: true, side: 32 }],
  ['stl10', { form: 'stl10:PATH', path: true }],
  ['stl10-unlabeled', { form: 'stl10-unlabeled:PATH', path: true }],
  [
    'folder',
    {
      form: 'folder:PATH',
      about: 'JPEG, PNG, WebP, GIF, TIFF, BMP, AVIF',
      path: true,
      resized: true,
    },
  ],
  ['images', { form: 'images:PATH', about: 'one safetensors file', path: true }],
  [
    'procedural',
    {
      form: 'procedural',
      about: 'built in; procedural:N,M draws N to train and M to test',
      path: false,
      side: 32,
    },
  ],
])

/** Splits a source into its kind and what stands behind the colon: 'folder:photos'. */
export function splitSource(source: string): { readonly kind: string; readonly rest: string } {
  const colon = source.indexOf(':')
  return colon < 0
    ? { kind: source, rest: '' }
    : { kind: source.slice(0, colon), rest: source.slice(colon + 1) }
}

/** Returns the kind that a source names, if there is such a kind. */
export const kindOfSource = (source: string): DataKind | undefined =>
  dataKinds.get(splitSource(source).kind)
