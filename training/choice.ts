// Errors of the command line, and options whose value is one of several words.

/** An error of the command line: printed in one line, exit code 2. */
export class UsageError extends Error {
  override readonly name = 'UsageError'
}

/** Returns the flag's value, null if it is undefined. Throws UsageError if the value is not
 *  allowed. */
export function choose<T extends string>(
  flag: string,
  value: string | undefined,
  allowed: readonly T[],
): T | null {
  if (value === undefined) return null
  const found = allowed.find((a) => a === value)
  if (!found) throw choice(flag, value, allowed)
  return found
}

/** Makes the error for a value that is not allowed. */
export const choice = (flag: string, value: string, allowed: readonly string[]) =>
  new UsageError(`${flag}: must be one of ${allowed.join(', ')}, got ${value}`)
