// The k largest of each row of similarities on a CPU, where a pass over a row costs more than many
// passes over a few of its numbers.

import { kernel } from '../op.ts'
import { groupEntry } from '../wgsl/group-entry.ts'
import { orderKey } from '../wgsl/order-key.ts'

/** Blocks that a thread divides its numbers into at most, and candidates that it keeps. */
export const ROOM = 128

// One workgroup per query. It takes the maximum of each block of the row: where k of them are b or
// more, the k-th largest key is too. Keys from b on are candidates, and the k-th largest is found
// among them. Where a thread has more than it keeps, as when keys are equal, all keys are
// candidates. Neighbours lie in different blocks, as those of a sorted set are alike.
export const boundedKernel = kernel`
  override THREADS: u32 = 8u;
  override ROOM: u32 = 128u;
  override KEPT: u32 = 1024u; // ROOM times THREADS
  struct Params { n: u32, M: u32, k: u32, blocks: u32 } // blocks of a thread
  @group(0) @binding(0) var<storage, read>       similarity: array<u32>; // [n, M], the bits of f32
  @group(0) @binding(1) var<storage, read>       tags:       array<u32>; // [M]
  @group(0) @binding(2) var<storage, read_write> largest:    array<u32>; // [n, k], the bits of f32
  @group(0) @binding(3) var<storage, read_write> nearest:    array<u32>; // [n, k]
  @group(0) @binding(4) var<uniform>             p:          Params;
  var<workgroup> parts: array<vec2u, THREADS>;
  var<workgroup> keys: array<u32, KEPT>; // of the blocks' maxima, then of candidates
  var<workgroup> places: array<u32, KEPT>; // of candidates, in the row
  var<private> row: u32 = 0u; // where the query's similarities begin
  var<private> whole: bool = false; // all keys of the row are candidates

  ${orderKey}

  fn keyAt(m: u32) -> u32 { return keyOf(similarity[row + m]); }

  fn sumOf(thread: u32, count: u32) -> u32 {
    workgroupBarrier();
    parts[thread].x = count;
    workgroupBarrier();
    var sum = 0u;
    for (var i = 0u; i < THREADS; i++) { sum += parts[i].x; }
    return sum;
  }

  // How many of a thread's keys, those before end, are least or more.
  fn countFrom(thread: u32, least: u32, end: u32) -> u32 {
    var count = 0u;
    if (whole) {
      for (var m = thread; m < p.M; m += THREADS) { count += select(0u, 1u, keyAt(m) >= least); }
    } else {
      for (var i = thread; i < end; i += THREADS) { count += select(0u, 1u, keys[i] >= least); }
    }
    return count;
  }

  // How many of a thread's keys equal one, up to a place.
  fn countEqual(thread: u32, key: u32, last: u32, end: u32) -> u32 {
    var count = 0u;
    if (whole) {
      for (var m = thread; m <= last; m += THREADS) { count += select(0u, 1u, keyAt(m) == key); }
    } else {
      for (var i = thread; i < end; i += THREADS) {
        count += select(0u, 1u, keys[i] == key && places[i] <= last);
      }
    }
    return count;
  }

  // k or more keys, atLeast, are range.x or more; fewer, above, are range.y or more.
  struct Search { range: vec2u, atLeast: u32, above: u32 }

  // Halves the range until it holds one key, or until at most enough keys are range.x or more.
  fn search(thread: u32, begun: Search, end: u32, enough: u32) -> Search {
    var s = begun;
    for (var step = 0u; step < 32u; step++) {
      let middle = s.range.x + (s.range.y - s.range.x) / 2u;
      let open = s.range.y - s.range.x > 1u && s.atLeast > enough;
      var count = 0u;
      if (open) { count = countFrom(thread, middle, end); }
      count = sumOf(thread, count);
      if (open && count >= p.k) {
        s.range.x = middle;
        s.atLeast = count;
      }
      if (open && count < p.k) {
        s.range.y = middle;
        s.above = count;
      }
    }
    return s;
  }

  // The place up to which keys that equal the least are taken.
  fn lastOf(thread: u32, s: Search, end: u32) -> u32 {
    var range = vec2u(0u, p.M - 1u);
    if (s.atLeast == p.k) { range.x = range.y; }
    for (var step = 0u; step < 32u; step++) {
      let middle = range.x + (range.y - range.x) / 2u;
      let open = range.x < range.y;
      var count = 0u;
      if (open) { count = countEqual(thread, s.range.x, middle, end); }
      count = s.above + sumOf(thread, count);
      if (open && count >= p.k) { range.y = middle; }
      if (open && count < p.k) { range.x = middle + 1u; }
    }
    return range.y;
  }

  @compute @workgroup_size(THREADS)
  fn nearestRowsBounded(${groupEntry}) {
    let query = group.y * groups.x + group.x;
    if (query >= p.n) { return; }
    row = query * p.M;
    let maxima = p.blocks * THREADS;
    var range = vec2u(0xffffffffu, 0u);
    for (var i = thread; i < maxima; i += THREADS) {
      var most = 0u;
      for (var m = i; m < p.M; m += maxima) { most = max(most, keyAt(m)); }
      keys[i] = most;
      range = vec2u(min(range.x, most), max(range.y, most));
    }
    parts[thread] = range;
    workgroupBarrier();
    for (var i = 0u; i < THREADS; i++) {
      range = vec2u(min(range.x, parts[i].x), max(range.y, parts[i].y));
    }
    range.y++; // no key is as large
    let bound = search(thread, Search(range, maxima, 0u), maxima, p.k + p.k / 8u).range.x;

    var own = 0u;
    for (var m = thread; m < p.M; m += THREADS) {
      let key = keyAt(m);
      if (key >= bound) {
        if (own < ROOM) {
          keys[own * THREADS + thread] = key;
          places[own * THREADS + thread] = m;
        }
        own++;
      }
    }
    let candidates = sumOf(thread, own);
    whole = sumOf(thread, select(0u, 1u, own > ROOM)) > 0u;
    let end = own * THREADS;
    let found = search(thread, Search(vec2u(bound, range.y), candidates, 0u), end, p.k);
    let least = found.range.x;
    let last = lastOf(thread, found, end);

    sumOf(thread, countFrom(thread, least + 1u, end) + countEqual(thread, least, last, end));
    var to = query * p.k;
    for (var i = 0u; i < thread; i++) { to += parts[i].x; }
    for (var i = thread; i < select(end, p.M, whole); i += THREADS) {
      var m = i;
      if (!whole) { m = places[i]; }
      let key = keyAt(m);
      if (key > least || (key == least && m <= last)) {
        largest[to] = similarity[row + m];
        nearest[to] = tags[m];
        to++;
      }
    }
  }
`
