// The page's Content-Security-Policy: its own scripts, styles and pictures, and no connection to
// anywhere. The built page carries it, and the server sends it too.

const rules = {
  'default-src': "'none'",
  'script-src': "'self'",
  'style-src': "'self'",
  'img-src': "'self' blob: data:",
  'worker-src': "'self' blob:", // a worker from a blob has this contentPolicy, on any host
  'connect-src': "'none'",
  'form-action': "'none'",
  'base-uri': "'none'",
}

export const contentPolicy = Object.entries(rules)
  .map(([name, value]) => `${name} ${value}`)
  .join('; ')

/** Headers of every file. `frame-ancestors` works in headers alone. */
export const headers = {
  'Content-Security-Policy': `${contentPolicy}; frame-ancestors 'none'`,
  'Cross-Origin-Opener-Policy': 'same-origin',
  'Cross-Origin-Resource-Policy': 'same-origin',
  'Referrer-Policy': 'no-referrer',
  'X-Content-Type-Options': 'nosniff',
}
