// What was thrown, in words.

/** Returns an error's message, or anything else that was thrown as a string. */
export const reasonOf = (cause: unknown): string =>
  cause instanceof Error ? cause.message : String(cause)
