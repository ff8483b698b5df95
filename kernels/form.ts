// Parts of ops that some devices have kernels of their own for: tensor cores, and adapters on the
// CPU. No op imports those kernels, so that a page loads them only where a device needs them
// (engine/kernels-for.ts). An op asks for its form, and without one takes the kernel for any
// device.

/** Names a part of an op, which is a T. */
export interface Form<T> {
  readonly is?: T
}

/** A form's name and what a device has for it. */
export type Provided = readonly [name: object, own: unknown]

/** What a device has for some forms. */
export type Forms = ReadonlyMap<object, unknown>

/** Makes the name of a form. */
export const form = <T>(): Form<T> => ({})

/** Gives `own` for a form. */
export const provide = <T>(name: Form<T>, own: NoInfer<T>): Provided => [name, own]

/** Told of devices that compute products on subgroup matrices. */
export const onMatrices = form<true>()

/** Returns what a device has for a form, or null. */
export const ownOf = <T>({ forms }: { readonly forms: Forms }, name: Form<T>): T | null =>
  (forms.get(name) as T | undefined) ?? null // as `provide` was given it
