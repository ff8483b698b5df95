// A factor of a tiled product that is a matrix in memory. Its lines are rows or columns of y where
// loads lie along the sum, else the k.

import { type Wgsl, wgsl } from '../op.ts'
import { type BufferFormat, loadSnippet, loadUnit, loaded } from './loader.ts'

/** A matrix as a factor, in WGSL. */
interface Matrix {
  /** Its first element, 0 by default. */
  readonly from?: Wgsl
  /** Elements from line to line. */
  readonly stride: Wgsl
  /** How many rows or columns of y there are, and how many k. */
  readonly rows: Wgsl
  readonly sum: Wgsl
  /** The k that this workgroup begins at, 0 by default. */
  readonly first?: Wgsl
  /** Whether there are whole slices of k. */
  readonly whole: boolean
}

/** The WGSL that a `Loader` needs for factor A or B, of the storage buffer `name`. */
export const matrixSide = (
  side: 'A' | 'B',
  name: Wgsl,
  memory: BufferFormat,
  along: boolean,
  { from, stride, rows, sum, first, whole }: Matrix,
): Wgsl => {
  const S = side === 'A' ? wgsl`A` : wgsl`B`
  const unit = loadUnit(memory)
  const start = from ? wgsl`${from} + ` : wgsl``
  const k = first ? wgsl`${first} + k` : wgsl`k`
  if (whole && !along && memory !== 'f32')
    return wholeLines(S, name, memory, { start, stride, rows, k })
  const inside = wgsl`apart${S}(i) < at.left`
  return wgsl`
    ${loadSnippet(name, memory)}
    alias Load${S} = ${loaded(memory)};
    // Of the first load: its place in memory, in loads; the lines from there on; the numbers of a
    // line from there on.
    struct Side${S} { at: u32, left: u32, width: u32 }
    fn begin${S}(row: u32, k: u32) -> Side${S} {
      let outer = ${along ? wgsl`row` : k};
      let inner = ${along ? k : wgsl`row`};
      let width = max(${along ? sum : rows}, inner) - inner;
      let left = select(0u, max(${along ? rows : sum}, outer) - outer, width > 0u);
      return Side${S}((${start}outer * ${stride} + inner) / ${unit}, left, width);
    }
    fn next${S}(at: Side${S}) -> Side${S} {
      ${
        along
          ? wgsl`let width = max(at.width, depth) - depth;
      return Side${S}(at.at + depth / ${unit}, select(0u, at.left, width > 0u), width);`
          : wgsl`return Side${S}(at.at + depth * (${stride} / ${unit}), max(at.left, depth) - depth, at.width);`
      }
    }
    fn load${S}(at: Side${S}, i: u32) -> Load${S} {
      ${
        memory === 'f32'
          ? wgsl`return load_${name}(at.at + apart${S}(i) * ${stride}, 0, select(0, i32(at.width), ${inside}));`
          : wgsl`return load_${name}(at.at + apart${S}(i) * (${stride} / ${unit}), ${inside});`
      }
    }
  `
}

/** Lines of which each has a k. Columns beyond the last stand for the last, and change only sums
 *  that are not stored. */
const wholeLines = (
  S: Wgsl,
  name: Wgsl,
  memory: BufferFormat,
  { start, stride, rows, k }: Record<'start' | 'stride' | 'rows' | 'k', Wgsl>,
): Wgsl => wgsl`
    ${loadSnippet(name, memory)}
    alias Load${S} = ${loaded(memory)};
    alias Side${S} = u32; // the first load's place in memory, in loads
    fn begin${S}(row: u32, k: u32) -> Side${S} {
      return (${start}(${k}) * ${stride} + min(row, ${rows} - ${loadUnit(memory)})) / ${loadUnit(memory)};
    }
    fn next${S}(at: Side${S}) -> Side${S} { return at + depth * (${stride} / ${loadUnit(memory)}); }
    fn load${S}(at: Side${S}, i: u32) -> Load${S} { return load_${name}(at + apart${S}(i) * (${stride} / ${loadUnit(memory)}), true); }
`
