// The entry point of kernels whose threads share a workgroup's work.

import { wgsl } from '../op.ts'

/** Parameters of an entry point: the workgroup `group`, their number `groups`, and the number
 *  `thread` of a thread within its workgroup. The workgroup's number is
 *  `group.y * groups.x + group.x` in a dispatch shaped by `folded`. */
export const groupEntry = wgsl`
    @builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) groups: vec3u,
    @builtin(local_invocation_index) thread: u32`
