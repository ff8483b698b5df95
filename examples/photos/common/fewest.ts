// How many pictures a training needs.

const FEWEST = 8 // each is compared with the others of its batch

/** Says why so few pictures cannot be trained on; null if they can. */
export function whyTooFew(pictures: number): string | null {
  if (pictures >= FEWEST) return null
  const rest = `at least ${FEWEST}; a few hundred make it interesting.`
  if (pictures === 0) return `There are no pictures to train on. Add ${rest}`
  const what = pictures === 1 ? 'one picture is' : `${pictures} pictures are`
  return (
    `Contrastive training tells pictures apart, so ${what} too few. ` +
    `Add pictures until there are ${rest}`
  )
}
