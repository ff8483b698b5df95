// Copies images of a set on the GPU by their numbers: a batch [N, H, W, 3] of bytes. For images of
// B bytes it moves 2 N B bytes, once for all views. Augmentation could read the set by number
// itself. That would save the N B bytes written, a thirteenth of what two views of a batch move
// (each reads B twice and writes 4 B), but every function of views would have to know about
// numbers.

import {
  type Op,
  type Shape,
  type Tensor,
  ShapeError,
  dim,
  elementwise,
  flatIndex,
  images,
  kernel,
  op,
  show,
  sizeOf,
} from '../op.ts'

const takeKernel = kernel`
  struct Params { words: u32, bytes: u32, size: u32, B: u32 }
  @group(0) @binding(0) var<storage, read>       all:     array<u32>; // [size, B] bytes
  @group(0) @binding(1) var<storage, read>       numbers: array<u32>; // [N]
  @group(0) @binding(2) var<storage, read_write> taken:   array<u32>; // [N, B] bytes
  @group(0) @binding(3) var<uniform>             p:       Params;
  ${flatIndex}
  @compute @workgroup_size(64)
  fn takeImages(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
    let i = flat(id, groups);
    if (i >= p.words) { return; }
    let at = 4u * i;
    var word = 0u;
    if (p.B % 4u == 0u) {
      let number = numbers[at / p.B];
      if (number < p.size) { word = all[(number * p.B + at % p.B) >> 2u]; }
    } else {
      for (var k = 0u; k < 4u; k++) { // a word may hold parts of two images
        if (at + k >= p.bytes) { continue; }
        let number = numbers[(at + k) / p.B];
        if (number >= p.size) { continue; }
        let source = number * p.B + (at + k) % p.B;
        word |= ((all[source >> 2u] >> (8u * (source & 3u))) & 255u) << (8u * k);
      }
    }
    taken[i] = word;
  }
`

const takeOp: Op<[set: Tensor, numbers: Tensor]> = {
  name: 'takeImages',
  accepts: ['u8', 'i32'],
  shape: (_, set, numbers) => taken(set, numbers),
  forward(run, _, set, numbers) {
    const shape = taken(set.shape, numbers.shape)
    const [size, bytes] = [dim(set.shape, 0), sizeOf(shape)]
    const words = Math.ceil(bytes / 4)
    const params = { words, bytes, size, B: sizeOf(set.shape.slice(1)) }
    const makes = [{ shape, dtype: 'u8' }] as const
    return run(takeKernel, { reads: [set, numbers], makes, params, groups: elementwise(words) })
  },
}

function taken(set: Shape, numbers: Shape): Shape {
  const [, H, W, C] = images(set, 'takeImages: the set')
  if (numbers.length !== 1)
    throw new ShapeError(`takeImages: numbers must be a list [N], got ${show(numbers)}`)
  return [dim(numbers, 0), H, W, C]
}

const apply = op(takeOp, 'set', 'numbers')

/** Returns the images of a set [size, H, W, C] u8 with the numbers [N] i32, in their order: [N, H,
 *  W, C] u8. A number outside the set gives zeros. Carries no gradient. Throws ShapeError for other
 *  shapes. */
export const takeImages = (set: Tensor, numbers: Tensor): Tensor => apply({}, set, numbers)
