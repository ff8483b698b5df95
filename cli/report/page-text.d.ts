/** The text of a script or style sheet of cli/page/, bundled and minified
 *  (scripts/page-text.js). */
declare module 'page:*' {
  const text: string
  export default text
}
