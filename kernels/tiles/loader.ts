// What a tiled product reads and writes: matrices, or images read in place. The rest of the kernel
// (mainloop.ts, mma-*.ts) is the same for all of them.

import { type DType, type Tensor, type Wgsl, wgsl } from '../op.ts'
import { narrow4 } from '../wgsl/storage.ts'

/** The factors A and B and the product y = A B of a tiled kernel. */
export interface Loader {
  /** The entry point's name. */
  readonly name: Wgsl
  /** Whether a vec4 of a factor lies along the sum (four k of one row or column of y) or across it
   *  (one k of four). */
  readonly along: { readonly a: boolean; readonly b: boolean }
  /** How y is bound. Of vec4s of f32, a tile that lies in y whole may be stored at once. */
  readonly y: Memory
  /** Whether the moments of y's columns are stored too (epilogue-moments.ts). `code` has their
   *  binding. */
  readonly moments?: boolean
  /** WGSL: `struct Params`, in which M and N are the largest number of rows and columns; the
   *  bindings; and
   *  - `prologue(z)`, called first. z is the workgroup's; it numbers batches, phases or splits of
   *    the sum;
   *  - `sliceCount(z) -> u32`: slices of the sum;
   *  - `Coords`, a position in the sum. `coordsAt(k)` is the k-th of the first slice,
   *    `nextSlice(Coords)` the same k of the next slice, `nextK(Coords)` the next k of this slice;
   *  - `RowA`, `rowA(row) -> RowA` and `loadA(RowA, Coords) -> vec4f`: four numbers, 0 beyond the
   *    end;
   *  - `RowB`, `rowB(column) -> RowB` and `loadB(RowB, Coords) -> vec4f`: likewise;
   *  - `epilogue(row, column, vec4f)`: stores four neighbours of y, those that exist;
   *  - if y is 'f32x4': `storesSums() -> bool`, whether the sums are y as they are and its rows lie p.N
   *    apart, and `storeOffset(z, row, column) -> u32`, in vec4s, of such an element. */
  readonly code: Wgsl
}

/** How the numbers of a storage buffer are bound: one by one, or in fours. f16s come in fours, as
 *  two pairs in a vec2u, so that a device needs no f16 in its shaders. */
export type Memory = 'f32' | 'f32x4' | 'f16x4'

/** How a tensor is bound whose rows have `columns` numbers. Throws TypeError for f16s in rows that
 *  are no multiple of four. */
export function memoryOf({ dtype }: Pick<Tensor, 'dtype'>, columns: number): Memory {
  if (dtype !== 'f16') return columns % 4 === 0 ? 'f32x4' : 'f32'
  if (columns % 4 !== 0)
    throw new TypeError(`tiles: rows of f16s are fours, got ${columns} columns`)
  return 'f16x4'
}

/** How y, of `columns` columns and `count` numbers in all, is bound. A buffer smaller than the 16 x
 *  16 numbers that a subgroup stores at once would be refused as vec4s. */
export const memoryOfY = (columns: number, count: number, dtype: DType = 'f32'): Memory =>
  dtype === 'f32' && count < 256 ? 'f32' : memoryOf({ dtype }, columns)

/** The element type that a storage buffer is bound as. */
export const element = (memory: Memory): Wgsl => elements[memory]
const elements = { f32: wgsl`f32`, f32x4: wgsl`vec4f`, f16x4: wgsl`vec2u` }

/** WGSL of four numbers in one element of a buffer. */
const unpacked = (memory: Memory, from: Wgsl): Wgsl =>
  memory === 'f16x4' ? wgsl`vec4f(unpack2x16float(${from}.x), unpack2x16float(${from}.y))` : from

/** `load4_<name>(at, begin, end) -> vec4f` of the storage buffer <name>: the elements at + i with
 *  begin <= i < end, i < 4, and 0 for the others. Of a buffer bound in fours, `at` is a multiple of
 *  four and the range covers all four elements or none. */
export const load4 = (name: Wgsl, memory: Memory): Wgsl =>
  memory === 'f32'
    ? wgsl`
      fn load4_${name}(at: u32, begin: i32, end: i32) -> vec4f {
        var numbers = vec4f();
        for (var i = 0; i < 4; i++) {
          if (begin <= i && i < end) { numbers[i] = ${name}[at + u32(i)]; }
        }
        return numbers;
      }
    `
    : wgsl`
      fn load4_${name}(at: u32, begin: i32, end: i32) -> vec4f {
        var numbers = vec4f();
        if (begin <= 0 && end > 0) { numbers = ${unpacked(memory, wgsl`${name}[at / 4u]`)}; }
        return numbers;
      }
    `

/** WGSL of y's element of four numbers. */
const packed = (memory: Memory): Wgsl =>
  memory === 'f16x4' ? wgsl`narrow4(numbers)` : wgsl`numbers`

/** `store4(at, count, vec4f)`: stores the first `count` of four numbers at y's element `at`. Where
 *  y is bound in fours, all four or none. */
export const store4 = (memory: Memory): Wgsl =>
  memory === 'f32'
    ? wgsl`
      fn store4(at: u32, count: u32, numbers: vec4f) {
        for (var i = 0u; i < 4u; i++) {
          if (i < count) { y[at + i] = numbers[i]; }
        }
      }
    `
    : wgsl`
      ${memory === 'f16x4' ? narrow4 : wgsl``}
      fn store4(at: u32, count: u32, numbers: vec4f) {
        if (count > 0u) { y[at / 4u] = ${packed(memory)}; }
      }
    `
