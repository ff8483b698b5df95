// Limits of f32 and of WebGPU that several rooms keep to.

/** The least temperature, f32's least normal number. Devices may take smaller ones for 0, and
 *  reciprocals of those below 2.9e-39 overflow. */
export const LEAST_TEMPERATURE = 2 ** -126

/** Workgroups per dimension that every device allows. */
export const MAX_GROUPS_PER_DIM = 65535
