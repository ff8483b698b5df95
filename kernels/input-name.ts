/** Returns the name of an op's input for messages: its own, or 'x' for the first. */
export const inputName = (names: readonly string[] = [], i: number): string =>
  names[i] ?? (i === 0 ? 'x' : `input ${i}`)
