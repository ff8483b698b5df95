// Where the patterns of the first screen begin and end: strewn, then by kind. From 0 to 1.

const KINDS = 10
const GOLDEN = Math.PI * (3 - Math.sqrt(5)) // between neighbours of a sunflower

export function placesOfHero(count: number): {
  readonly from: Float64Array
  readonly to: Float64Array
} {
  const [from, to] = [new Float64Array(2 * count), new Float64Array(2 * count)]
  for (let i = 0; i < count; i++) {
    from[2 * i] = fraction(i * 0.7548776662) // a sequence that fills the plane evenly
    from[2 * i + 1] = fraction(i * 0.569840291 + 0.35)
    const kind = i % KINDS
    const middle = { x: ((kind % 5) + 0.5) / 5, y: (Math.floor(kind / 5) + 0.5) / 2 }
    const within = Math.floor(i / KINDS)
    const [radius, angle] = [Math.sqrt(within + 0.4) / 3.6, within * GOLDEN + kind]
    to[2 * i] = middle.x + (radius * Math.cos(angle)) / 12
    to[2 * i + 1] = middle.y + (radius * Math.sin(angle)) / 5
  }
  return { from, to }
}

const fraction = (x: number) => x - Math.floor(x)
