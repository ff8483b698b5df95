// What a tiled product reads and writes: matrices, or images read in place. The rest of the kernel
// (mainloop.ts, mma-*.ts) is the same for all of them.

import { type DType, type Run, type Tensor, type Wgsl, wgsl } from '../op.ts'
import { narrow4 } from '../wgsl/storage.ts'

/** The factors A and B and the product y = A B of a tiled kernel. */
export interface Loader {
  /** The entry point's name. */
  readonly name: Wgsl
  /** Whether one load of a factor lies along the sum (neighbouring k of one row or column of y) or
   *  across it (one k of neighbouring rows or columns). */
  readonly along: { readonly a: boolean; readonly b: boolean }
  /** How the factors and y are bound. */
  readonly memory: { readonly a: BufferFormat; readonly b: BufferFormat; readonly y: BufferFormat }
  /** What is stored of y's columns, too: their moments (epilogue-moments.ts), or the sums of a
   *  batch norm's gradient (epilogue-norm-sums.ts). `code` has its bindings. */
  readonly columns?: 'moments' | 'norm sums' | null
  /** WGSL: `struct Params`, in which M and N are the largest number of rows and columns; the
   *  bindings; and
   *  - `prologue(z)`, called first. z is the workgroup's; it numbers batches, phases or splits of
   *    the sum;
   *  - `sliceCount(z) -> u32`: slices of the sum;
   *  - `SideA`, what a thread knows of its loads of A. There are `aLoads` of a slice, `apartA(i)`
   *    rows (along the sum) or k (across it) behind the first.
   *    `beginA(row, k) -> SideA` of the first load in the first slice, `nextA(SideA) -> SideA` in
   *    the next slice, `loadA(SideA, i) -> LoadA`: the numbers of load i, 0 beyond the end;
   *  - `SideB`, `beginB(column, k)`, `nextB`, `loadB`: likewise of B;
   *  - `epilogue(row, column, vec4f)`: stores four neighbours of y, those that exist;
   *  - if y is 'f32x4': `storesSums() -> bool`, whether the sums are y as they are and its rows lie
   *    p.N apart, and `storeOffset(z, row, column) -> u32`, in vec4s, of such an element. */
  readonly code: Wgsl
}

/** The sums of a batch norm's gradient, whose ReLU's mask is in bits, or in the normalised x; and
 *  the WGSL of what they bind. */
export interface NormSums {
  readonly mask: 'marks' | 'x'
  readonly bindings: Wgsl
}

/** What a product stores of y's columns, too. */
export type Columns = 'moments' | NormSums | null

/** Names it, for keys of forms. */
export const columnsName = (columns: Columns): string =>
  typeof columns === 'string' ? columns : (columns?.mask ?? 'none')

/** How the numbers of a storage buffer are bound: one by one, in fours, or eight at once. f16s are
 *  bound as pairs in u32s. Four become f32s when they are read, eight stay as they are. */
export type BufferFormat = 'f32' | 'f32x4' | 'f16x4' | 'f16x8'

/** How a factor is bound whose rows have `columns` numbers. Throws TypeError for f16s in rows that
 *  are no multiple of four. */
export function memoryOf(
  run: Run,
  { dtype }: Pick<Tensor, 'dtype'>,
  columns: number,
): BufferFormat {
  if (dtype !== 'f16') return columns % 4 === 0 ? 'f32x4' : 'f32'
  if (columns % 4 !== 0)
    throw new TypeError(`tiles: rows of f16s are fours, got ${columns} columns`)
  return columns % 8 === 0 && run.matrices && run.precision === 'f16' ? 'f16x8' : 'f16x4'
}

/** How y, of `columns` columns and `count` numbers in all, is bound. A buffer smaller than the 16 x
 *  16 numbers that a subgroup stores at once would be refused as vec4s. */
export function memoryOfY(columns: number, count: number, dtype: DType = 'f32'): BufferFormat {
  if (dtype === 'f16') return 'f16x4'
  return columns % 4 === 0 && count >= 256 ? 'f32x4' : 'f32'
}

/** The element type that a storage buffer is bound as. */
export const element = (memory: BufferFormat): Wgsl => elements[memory]
const elements = { f32: wgsl`f32`, f32x4: wgsl`vec4f`, f16x4: wgsl`vec2u`, f16x8: wgsl`vec4u` }

/** The type of one load's numbers: four f32s, or eight f16s in pairs. */
export const loaded = (memory: BufferFormat): Wgsl =>
  memory === 'f16x8' ? wgsl`vec4u` : wgsl`vec4f`

/** Numbers of one load. */
export const loadWidth = (memory: BufferFormat): 4 | 8 => (memory === 'f16x8' ? 8 : 4)

/** Numbers between what `load` counts, as WGSL. */
export const loadUnit = (memory: BufferFormat): Wgsl =>
  memory === 'f32' ? wgsl`1u` : memory === 'f16x8' ? wgsl`8u` : wgsl`4u`

/** WGSL of one load's numbers, from the element of a buffer that has them. */
export const unpacked = (memory: BufferFormat, from: Wgsl): Wgsl =>
  memory === 'f16x4' ? wgsl`vec4f(unpack2x16float(${from}.x), unpack2x16float(${from}.y))` : from

/** `load_<name>(at, inside)`: load number `at` of the storage buffer <name>; zeros unless `inside`.
 *  Of a buffer bound one by one: `load_<name>(at, begin, end)`, the numbers at + i with begin <= i
 *  < end, and 0 for the others, of four. */
export const loadSnippet = (name: Wgsl, memory: BufferFormat): Wgsl =>
  memory === 'f32'
    ? wgsl`
      fn load_${name}(at: u32, begin: i32, end: i32) -> vec4f {
        var numbers = vec4f();
        for (var i = 0; i < 4; i++) {
          if (begin <= i && i < end) { numbers[i] = ${name}[at + u32(i)]; }
        }
        return numbers;
      }
    `
    : wgsl`
      fn load_${name}(at: u32, inside: bool) -> ${loaded(memory)} {
        var numbers = ${loaded(memory)}();
        if (inside) { numbers = ${unpacked(memory, wgsl`${name}[at]`)}; }
        return numbers;
      }
    `

/** WGSL of y's element of four numbers. */
const packed = (memory: BufferFormat): Wgsl =>
  memory === 'f16x4' ? wgsl`narrow4(numbers)` : wgsl`numbers`

/** `store4(at, count, vec4f)`: stores the first `count` of four numbers at y's element `at`. Where
 *  y is bound in fours, all four or none. */
export const store4 = (memory: BufferFormat): Wgsl =>
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
