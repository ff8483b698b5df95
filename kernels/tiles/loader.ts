// What a tiled product reads and writes: matrices, or images read in place. The rest of the kernel
// (mainloop.ts, mma-*.ts) is the same for all of them.

import { type Wgsl, wgsl } from '../op.ts'

/** The factors A and B and the product y = A B of a tiled kernel. */
export interface Loader {
  /** The entry point's name. */
  readonly name: Wgsl
  /** Whether a vec4 of a factor lies along the sum (four k of one row or column of y) or across it
   *  (one k of four). */
  readonly along: { readonly a: boolean; readonly b: boolean }
  /** Whether y is bound as array<vec4f>. A tile that lies in y whole may then be stored at once. */
  readonly vec4Y: boolean
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
   *  - if `vec4Y`: `storesSums() -> bool`, whether the sums are y as they are and its rows lie p.N
   *    apart, and `storeOffset(z, row, column) -> u32`, in vec4s, of such an element. */
  readonly code: Wgsl
}

/** The element type that a storage buffer is bound as. */
export const element = (vec4: boolean): Wgsl => (vec4 ? wgsl`vec4f` : wgsl`f32`)

/** `load4_<name>(at, begin, end) -> vec4f` of the storage buffer <name>: the elements at + i with
 *  begin <= i < end, i < 4, and 0 for the others. Of a buffer bound as vec4s, `at` is a multiple of
 *  four and the range covers all four elements or none. */
export const load4 = (name: Wgsl, vec4: boolean): Wgsl =>
  vec4
    ? wgsl`
      fn load4_${name}(at: u32, begin: i32, end: i32) -> vec4f {
        var numbers = vec4f();
        if (begin <= 0 && end > 0) { numbers = ${name}[at / 4u]; }
        return numbers;
      }
    `
    : wgsl`
      fn load4_${name}(at: u32, begin: i32, end: i32) -> vec4f {
        var numbers = vec4f();
        for (var i = 0; i < 4; i++) {
          if (begin <= i && i < end) { numbers[i] = ${name}[at + u32(i)]; }
        }
        return numbers;
      }
    `

/** `store4(at, count, vec4f)`: stores the first `count` of four numbers at y's element `at`. Where
 *  y is bound as vec4s, all four or none. */
export const store4 = (vec4: boolean): Wgsl =>
  vec4
    ? wgsl`
      fn store4(at: u32, count: u32, numbers: vec4f) {
        if (count > 0u) { y[at / 4u] = numbers; }
      }
    `
    : wgsl`
      fn store4(at: u32, count: u32, numbers: vec4f) {
        for (var i = 0u; i < 4u; i++) {
          if (i < count) { y[at + i] = numbers[i]; }
        }
      }
    `

/** Whether y, of `columns` columns and `count` numbers in all, is bound as vec4s. A buffer smaller
 *  than the 16 x 16 numbers that a subgroup stores at once would be refused. */
export const fitsVec4 = (columns: number, count: number): boolean =>
  columns % 4 === 0 && count >= 256
