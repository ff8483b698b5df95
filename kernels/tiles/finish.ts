// The last step of a tiled product (wgsl/finish.ts), which its epilogue does before it stores y.

import { type Wgsl, wgsl } from '../op.ts'
import { type FinishKind, lastStep, readsOther } from '../wgsl/finish.ts'
import { fours } from '../wgsl/widths.ts'
import { type BufferFormat, element, unpacked } from './loader.ts'

/** `finish(at, count, sums) -> vec4f`: the last step of the first `count` of four numbers at y's
 *  element `at`; and the binding `other`, if it reads one, in y's format. */
export function finishSnippet(kind: FinishKind, number: Wgsl, memory: BufferFormat): Wgsl {
  if (kind === null)
    return wgsl`fn finish(at: u32, count: u32, sums: vec4f) -> vec4f { return sums; }`
  const other = readsOther(kind)
  return wgsl`
      ${fours}
      ${lastStep(kind)}
      ${other ? otherSnippet(number, memory) : wgsl``}
      fn finish(at: u32, count: u32, sums: vec4f) -> vec4f {
        return lastStep(sums, ${other ? wgsl`otherAt(at, count)` : wgsl`sums`});
      }
  `
}

const otherSnippet = (number: Wgsl, memory: BufferFormat): Wgsl => wgsl`
      @group(0) @binding(${number}) var<storage, read> other: array<${element(memory)}>; // as y
      fn otherAt(at: u32, count: u32) -> vec4f {
        ${
          memory === 'f32'
            ? wgsl`var numbers = vec4f();
        for (var i = 0u; i < 4u; i++) {
          if (i < count) { numbers[i] = other[at + i]; }
        }
        return numbers;`
            : wgsl`return ${unpacked(memory, wgsl`other[at / 4u]`)};`
        }
      }
`
