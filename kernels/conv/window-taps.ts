// The taps of a convolution's window, in WGSL, as window-loader.ts counts them along the sum; and
// which of them lie in the image, for a row of the product.
//
// `toward` is 1 or, for the data gradient, -1, and `reach` the taps' rows and columns. Places in x
// and w are counted in loads.

import { type Wgsl, wgsl } from '../op.ts'
import { type BufferFormat, loadSnippet, loadUnit, loaded } from '../tiles/loader.ts'

/** A multiple of every mma's k per slice. */
export const WHOLE = 32

/** Taps that are marked by bits at most. */
export const MAX_BITS = 31

/** Sides of the product where x's channels are a multiple of WHOLE. A slice then lies in one tap,
 *  which all threads share. */
export const sharedTaps = (x: BufferFormat, w: BufferFormat, back: boolean): Wgsl => wgsl`
    // Row and column; the channel where the slice begins; the tap's bit; what it reads of x, and of
    // w, from what the first tap reads.
    struct Tap { r: u32, s: u32, c: u32, bit: u32, offset: i32, weight: u32 }
    var<private> tap: Tap = Tap(0u, 0u, 0u, 1u, 0i, 0u);
    fn nextTap() {
      tap.c += depth;
      tap.offset += i32(depth / ${loadUnit(x)});
      tap.weight += depth / ${loadUnit(w)};
      if (tap.c == p.C) {
        tap.c = 0u;
        tap.s += 1u;
        tap.bit <<= 1u;
        tap.offset += (toward - 1i) * i32(p.C / ${loadUnit(x)});
        tap.weight += (p.phasesW * p.N - 1u) * (p.C / ${loadUnit(w)});
        if (tap.s == reach.y) {
          tap.s = 0u;
          tap.r += 1u;
          tap.offset += toward * (i32(p.W) - i32(reach.y)) * i32(p.C / ${loadUnit(x)});
          tap.weight += (p.phasesH * p.kW - reach.y * p.phasesW) * p.N * (p.C / ${loadUnit(w)});
        }
      }
    }
    ${loadSnippet(wgsl`x`, x)}
    alias LoadA = ${loaded(x)};
    struct SideA { rows: array<Row, aLoads> }
    fn beginA(row: u32, k: u32) -> SideA {
      var rows = array<Row, aLoads>();
      for (var i = 0u; i < aLoads; i++) {
        rows[i] = rowOf(row + apartA(i));
        rows[i].at += i32(k / ${loadUnit(x)});
      }
      return SideA(rows);
    }
    fn nextA(side: SideA) -> SideA {
      nextTap();
      return side;
    }
    fn loadA(side: SideA, i: u32) -> LoadA {
      let row = side.rows[i];
      return load_x(u32(row.at + tap.offset), inside(row, tap.r, tap.s, tap.bit));
    }
    ${back ? sharedB(w) : wgsl``}
`

// Back, columns of y are rows of w, and loads lie along x's channels.
const sharedB = (w: BufferFormat): Wgsl => wgsl`
    ${loadSnippet(wgsl`w`, w)}
    alias LoadB = ${loaded(w)};
    alias SideB = u32; // the place of the first load, for the first tap
    fn beginB(column: u32, k: u32) -> SideB {
      let first = phase.x * p.kW + phase.y;
      return (first * p.N + column) * (p.C / ${loadUnit(w)}) + k / ${loadUnit(w)};
    }
    fn nextB(at: SideB) -> SideB { return at; } // by nextTap
    // Columns beyond the last read anything: no sums of theirs are stored.
    fn loadB(at: SideB, i: u32) -> LoadB {
      let last = p.kH * p.kW * p.N * (p.C / ${loadUnit(w)}) - 1u;
      return load_w(min(at + tap.weight + apartB(i) * (p.C / ${loadUnit(w)}), last), true);
    }
`

/** Sides of the product for any number of channels. Each load has a tap of its own; where numbers
 *  are bound one by one, each number. */
export const ownTaps = (x: BufferFormat, w: BufferFormat, back: boolean): Wgsl => wgsl`
    // Row and column; the channel; the bit of the tap, 0 beyond the last.
    struct Tap { r: u32, s: u32, c: u32, bit: u32 }
    fn tapAt(k: u32) -> Tap {
      let tap = k / p.C;
      let r = tap / max(reach.y, 1u);
      return Tap(r, tap - r * reach.y, k - tap * p.C, select(0u, 1u << (tap % 32u), r < reach.x));
    }
    ${x === 'f32' ? wgsl`` : loadSnippet(wgsl`x`, x)}
    alias LoadA = ${loaded(x)};
    struct SideA { rows: array<Row, aLoads>, k: u32 }
    fn beginA(row: u32, k: u32) -> SideA {
      var rows = array<Row, aLoads>();
      for (var i = 0u; i < aLoads; i++) { rows[i] = rowOf(row + apartA(i)); }
      return SideA(rows, k);
    }
    fn nextA(side: SideA) -> SideA { return SideA(side.rows, side.k + depth); }
    fn offsetOf(tap: Tap) -> i32 {
      return toward * i32((tap.r * p.W + tap.s) * (p.C / ${loadUnit(x)})) + i32(tap.c / ${loadUnit(x)});
    }
    fn loadA(side: SideA, i: u32) -> LoadA {
      let row = side.rows[i];
      ${
        x === 'f32'
          ? wgsl`var numbers = vec4f();
      for (var e = 0u; e < 4u; e++) {
        let tap = tapAt(side.k + e);
        if (inside(row, tap.r, tap.s, tap.bit)) { numbers[e] = x[u32(row.at + offsetOf(tap))]; }
      }
      return numbers;`
          : wgsl`let tap = tapAt(side.k);
      return load_x(u32(row.at + offsetOf(tap)), inside(row, tap.r, tap.s, tap.bit));`
      }
    }
    ${back ? ownB(w) : wgsl``}
`

const ownB = (w: BufferFormat): Wgsl => wgsl`
    ${w === 'f32' ? wgsl`` : loadSnippet(wgsl`w`, w)}
    alias LoadB = ${loaded(w)};
    struct SideB { column: u32, k: u32 }
    fn beginB(column: u32, k: u32) -> SideB { return SideB(column, k); }
    fn nextB(side: SideB) -> SideB { return SideB(side.column, side.k + depth); }
    // The place of column n of y in w.
    fn weightAt(n: u32, tap: Tap) -> u32 {
      let index = (phase.x + tap.r * p.phasesH) * p.kW + phase.y + tap.s * p.phasesW;
      return (index * p.N + n) * (p.C / ${loadUnit(w)}) + tap.c / ${loadUnit(w)};
    }
    fn loadB(side: SideB, i: u32) -> LoadB {
      let n = side.column + apartB(i);
      ${
        w === 'f32'
          ? wgsl`var numbers = vec4f();
      for (var e = 0u; e < 4u; e++) {
        let tap = tapAt(side.k + e);
        if (tap.r < reach.x && n < p.N) { numbers[e] = w[weightAt(n, tap)]; }
      }
      return numbers;`
          : wgsl`let tap = tapAt(side.k);
      return load_w(weightAt(n, tap), tap.r < reach.x && n < p.N);`
      }
    }
`

/** `Row`, what a load knows of its row of y; `rowOf(row) -> Row`; and `inside(Row, r, s, bit)`,
 *  whether a tap lies in the image. Taps have bits, at most MAX_BITS. Those in the image are a
 *  range of rows and one of columns. */
export const rowsByBits = wgsl`
    struct Row { at: i32, taps: u32 } // what the first tap reads; the taps in the image
    fn rangeOf(first: i32, size: u32, count: u32) -> vec2u {
      let low = select(first + 1 - i32(size), -first, toward == 1i);
      let high = select(first + 1, i32(size) - first, toward == 1i);
      return vec2u(clamp(vec2i(low, high), vec2i(), vec2i(i32(count))));
    }
    fn bits(begin: u32, end: u32) -> u32 { return select(0u, ((1u << (end - begin)) - 1u) << begin, begin < end); }
    fn rowOf(row: u32) -> Row {
      if (row >= pixels()) { return Row(); }
      let o = origin(row);
      let h = rangeOf(o.y, p.H, reach.x);
      let v = rangeOf(o.z, p.W, reach.y);
      var firsts = 0u; // taps that begin a row
      for (var r = 0u; r < reach.x; r++) { firsts |= 1u << (r * reach.y); }
      return Row(placeOf(o), bits(v.x, v.y) * (firsts & bits(h.x * reach.y, h.y * reach.y)));
    }
    fn inside(row: Row, r: u32, s: u32, bit: u32) -> bool { return (row.taps & bit) != 0u; }
`

/** The same for any number of taps. */
export const rowsByPlace = wgsl`
    struct Row { at: i32, h: i32, v: i32 } // what the first tap reads, its row and column
    fn rowOf(row: u32) -> Row {
      if (row >= pixels()) { return Row(0i, -0x40000000i, 0i); }
      let o = origin(row);
      return Row(placeOf(o), o.y, o.z);
    }
    fn inside(row: Row, r: u32, s: u32, bit: u32) -> bool {
      let h = row.h + toward * i32(r);
      let v = row.v + toward * i32(s);
      return r < reach.x && u32(h) < p.H && u32(v) < p.W; // as u32 a negative number is huge
    }
`
