// What the passes of attention have in common. Each is a product of two sides, [rows, columns],
// that is made tile by tile and never stored: rows are queries and columns keys, or the other way.
// The tile's numbers become weights, and each row's weighted sum of the columns' values is the
// result.
//   y   one row of     columns      weight of (query i, key j)                   values
//   out    queries      keys     exp(s_ij - top_i), online softmax                 v
//   dq     queries      keys     exp(s_ij - lse_i) (dout_i . v_j - delta_i)        k
//   dk     keys        queries   the same                                          q
//   dv     keys        queries   exp(s_ij - lse_i)                                dout
// with s = scale q . k and delta_i = out_i . dout_i. This is FlashAttention-2 (Dao 2023,
// https://arxiv.org/abs/2307.08691), but for dk and dv, which have a pass each there is memory in
// registers for: it costs one more of eight products, and fewer registers than sums of both.

import { type Wgsl, wgsl } from '../op.ts'
import { type BufferFormat, element, loadSnippet, store4 } from '../tiles/loader.ts'

/** Numbers of q, k, v and their gradients, one by one or in fours. */
export type HeadFormat = Extract<BufferFormat, 'f32' | 'f32x4'>

/** Names of the buffers with rows and with columns. */
type Product = readonly [rows: Buffer, columns: Buffer]
type Buffer = 'q' | 'k' | 'v' | 'dout'

/** One pass over tiles. */
export interface AttentionPass {
  /** The entry point's name. */
  readonly name: Wgsl
  /** Which side the queries are. The keys are the other. */
  readonly queries: 'rows' | 'columns'
  /** Buffers that are read, in the order of their bindings: [N, T, H, D]. */
  readonly reads: readonly Buffer[]
  /** Products whose tile is s / scale, and t. */
  readonly scores: Product
  readonly second: Product | null
  /** Whose columns are summed. */
  readonly values: Buffer
  /** The weight of s, t, lse and delta, all vec4f; null for the online softmax. */
  readonly weight: Wgsl | null
  /** Whether lse, and delta, are read. */
  readonly delta: boolean
  /** Factor of the sums. */
  readonly factor: Wgsl
}

const names = { q: wgsl`q`, k: wgsl`k`, v: wgsl`v`, dout: wgsl`dout` } as const
const numbers = [0, 1, 2, 3, 4, 5, 6, 7, 8].map((i) => String(i) as Wgsl)

/** The name of a buffer as WGSL. */
export const bufferName = (buffer: Buffer): Wgsl => names[buffer]

const all = (parts: readonly Wgsl[]): Wgsl => parts.reduce((a, b) => wgsl`${a}${b}`, wgsl``)

/** `four_<name>(at, d, inside)`: features d to d + 3 of the vector that begins at `at`; 0 beyond
 *  the last, or unless `inside`. */
const four = (name: Wgsl, memory: HeadFormat): Wgsl => wgsl`
  ${loadSnippet(name, memory)}
  fn four_${name}(at: u32, d: u32, inside: bool) -> vec4f {
    ${
      memory === 'f32x4'
        ? wgsl`return load_${name}((at + d) / 4u, inside && d < p.D);`
        : wgsl`return load_${name}(at + d, 0, select(0, i32(p.D) - i32(d), inside));`
    }
  }
`

/** WGSL that every pass opens with, given the sizes ROWS and COLUMNS of a tile: Params, bindings
 *  and
 *  - `placeOf(index) -> Place`: a workgroup's head and its first row;
 *  - `rowStart(place, t)`, `columnStart(place, t)`: where a vector begins; beyond the last, the
 *    last;
 *  - `firstColumn(place)`, `endColumn(place)`: the columns that some row of the tile counts;
 *  - `counts(place, rows, column)`: whether the query attends to the key;
 *  - `statOf(place, query) -> vec2f`: its lse and delta. */
export function passPrologue(pass: AttentionPass, memory: HeadFormat): Wgsl {
  const { reads, queries, weight, delta } = pass
  const type = element(memory)
  const rows = queries === 'rows'
  const statistics = weight === null ? [] : delta ? [wgsl`lse`, wgsl`delta`] : [wgsl`lse`]
  const bound = (i: number, access: Wgsl, name: Wgsl, of: Wgsl) => wgsl`
    @group(0) @binding(${numbers[i] ?? wgsl``}) var<storage, ${access}> ${name}: array<${of}>;`
  const next = reads.length + 1 + statistics.length
  return wgsl`
    struct Params {
      images: u32, rows: u32, columns: u32, heads: u32, D: u32, causal: u32, limited: u32, scale: f32
    }
    ${all(reads.map((name, i) => bound(i, wgsl`read`, names[name], type)))} // [N, T, H, D]
    ${bound(reads.length, wgsl`read`, wgsl`lengths`, wgsl`i32`)} // [N], if limited
    ${all(statistics.map((name, i) => bound(reads.length + 1 + i, wgsl`read`, name, wgsl`f32`)))} // [N, H, Tq]
    ${bound(next, wgsl`read_write`, wgsl`y`, type)} // [N, rows, H, D]
    ${weight === null ? bound(next + 1, wgsl`read_write`, wgsl`lse`, wgsl`f32`) : wgsl``}
    @group(0) @binding(${numbers[next + (weight === null ? 2 : 1)] ?? wgsl``}) var<uniform> p: Params;
    ${all(reads.map((name) => four(names[name], memory)))}
    ${store4(memory)}

    struct Place { image: u32, head: u32, row: u32, keys: u32 }
    fn tileCount() -> u32 { return (p.rows + ROWS - 1u) / ROWS; }
    fn placeOf(index: u32) -> Place {
      let heads = index / tileCount();
      let image = heads / p.heads;
      var keys = ${rows ? wgsl`p.columns` : wgsl`p.rows`};
      if (p.limited == 1u) { keys = min(keys, u32(max(lengths[image], 0))); }
      return Place(image, heads - image * p.heads, (index - heads * tileCount()) * ROWS, keys);
    }
    fn rowStart(place: Place, t: u32) -> u32 {
      return ((place.image * p.rows + min(t, p.rows - 1u)) * p.heads + place.head) * p.D;
    }
    fn columnStart(place: Place, t: u32) -> u32 {
      return ((place.image * p.columns + min(t, p.columns - 1u)) * p.heads + place.head) * p.D;
    }
    ${rows ? overKeys : overQueries}
    ${statistics.length === 0 ? wgsl`` : statOf(rows, delta)}
  `
}

const overKeys = wgsl`
    fn firstColumn(place: Place) -> u32 { return 0u; }
    fn endColumn(place: Place) -> u32 {
      return select(place.keys, min(place.keys, place.row + ROWS), p.causal == 1u);
    }
    fn counts(place: Place, query: vec4u, key: u32) -> vec4<bool> {
      let causes = vec4<bool>(p.causal == 0u) | (vec4u(key) <= query);
      return causes & vec4<bool>(key < place.keys) & (query < vec4u(p.rows));
    }
`

const overQueries = wgsl`
    fn firstColumn(place: Place) -> u32 {
      return select(0u, place.row / COLUMNS * COLUMNS, p.causal == 1u);
    }
    fn endColumn(place: Place) -> u32 { return select(0u, p.columns, place.row < place.keys); }
    fn counts(place: Place, key: vec4u, query: u32) -> vec4<bool> {
      let causes = vec4<bool>(p.causal == 0u) | (key <= vec4u(query));
      return causes & vec4<bool>(query < p.columns) & (key < vec4u(place.keys));
    }
`

const statOf = (rows: boolean, delta: boolean): Wgsl => wgsl`
    fn statOf(place: Place, query: u32) -> vec2f {
      let queries = ${rows ? wgsl`p.rows` : wgsl`p.columns`};
      let at = (place.image * p.heads + place.head) * queries + min(query, queries - 1u);
      return vec2f(lse[at], ${delta ? wgsl`delta[at]` : wgsl`0.0`});
    }
`

/** WGSL of the four rows first, first + 1, first + 2, first + 3. */
export const fourFrom = wgsl`
  fn fourFrom(first: u32) -> vec4u { return vec4u(first) + vec4u(0u, 1u, 2u, 3u); }
`
