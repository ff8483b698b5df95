// A page of small pictures in groups: what search and curate found. It is one file, without a
// script; all text from outside is escaped.

import { printable } from '../kernels/printable.ts'

/** One picture. */
export interface GalleryCard {
  /** A data URL. */
  readonly src: string
  readonly name: string
  /** Class of the image. */
  readonly label?: string | null
  /** Number to show, in digits. */
  readonly figure?: string
  /** Place in the order. */
  readonly rank?: number
  /** Word that sets it apart from the others. */
  readonly mark?: string
}

/** Pictures that belong together. */
export interface GallerySection {
  readonly title: string
  readonly note?: string
  readonly cards: readonly GalleryCard[]
}

export interface GalleryContent {
  readonly title: string
  /** Sentences below the title. */
  readonly about: readonly string[]
  readonly sections: readonly GallerySection[]
}

/** Returns a whole HTML page that refers to nothing outside it. */
export const galleryPage = ({ title, about, sections }: GalleryContent): string => `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; img-src data:; style-src 'unsafe-inline'">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>${asText(title)}: Kindred</title>
<style>${style}</style>
</head>
<body>
<header>
<h1>${asText(title)}</h1>
${about.map((line) => `<p>${asText(line)}</p>`).join('\n')}
</header>
<main>
${sections.length === 0 ? '<p>Nothing was found.</p>' : sections.map(sectionOf).join('\n')}
</main>
</body>
</html>
`

const sectionOf = ({ title, note, cards }: GallerySection) => `<section>
<h2>${asText(title)}</h2>${note === undefined ? '' : `\n<p>${asText(note)}</p>`}
<ul>
${cards.map(cardOf).join('\n')}
</ul>
</section>`

function cardOf({ src, name, label, figure, rank, mark }: GalleryCard): string {
  const file = name.split('/').at(-1) ?? name
  const near = name.split('/').slice(-2).join('/') // two folders may have files of one name
  const badges = [
    ...(rank === undefined ? [] : [`<span class="rank">${rank}</span>`]),
    ...(figure === undefined ? [] : [`<span class="figure">${asText(figure)}</span>`]),
    ...(mark === undefined ? [] : [`<span class="mark">${asText(mark)}</span>`]),
  ]
  const under = label == null ? '' : `<span class="label">${asText(label)}</span>`
  return (
    `<li${mark === undefined ? '' : ' class="marked"'}><figure>` +
    `<img src="${asText(src)}" alt="${asText(file)}" loading="lazy">` +
    `<figcaption><span class="row">${badges.join('')}</span>${under}` +
    `<span class="name" title="${asText(name)}">${asText(near)}</span></figcaption></figure></li>`
  )
}

const escapes: Readonly<Record<string, string>> = {
  ...{ '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;', "'": '&#39;' },
}

/** Escapes a text for HTML, in an attribute too. Control characters become visible. */
const asText = (text: string) => printable(text).replace(/[&<>"']/g, (c) => escapes[c] ?? c)

const style = `
:root {
  color-scheme: light dark;
  --text: #1c2128; --faint: #5b6573; --line: #dfe3e8; --back: #f6f7f9; --card: #ffffff;
  --strong: #1f6feb; --onstrong: #ffffff;
}
@media (prefers-color-scheme: dark) {
  :root {
    --text: #e6e9ee; --faint: #9aa5b4; --line: #2b313a; --back: #101317; --card: #191d23;
    --strong: #6cb0ff; --onstrong: #0b1523;
  }
}
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 1.5rem clamp(0.75rem, 3vw, 2rem) 3rem; max-width: 84rem;
  font: 15px/1.5 system-ui, sans-serif; color: var(--text); background: var(--back); }
h1 { margin: 0 0 0.25rem; font-size: 1.6rem; font-weight: 650; letter-spacing: -0.01em; }
h2 { margin: 0; font-size: 1rem; font-weight: 600; overflow-wrap: anywhere; }
p { margin: 0.1rem 0; color: var(--faint); overflow-wrap: anywhere; max-width: 46rem; }
section { margin-top: 1.75rem; padding-top: 1.1rem; border-top: 1px solid var(--line); }
ul { list-style: none; margin: 0.75rem 0 0; padding: 0; display: grid; gap: 0.75rem;
  grid-template-columns: repeat(auto-fill, minmax(136px, 1fr)); }
li { min-width: 0; border: 1px solid var(--line); border-radius: 10px; overflow: hidden;
  background: var(--card); }
li.marked { border-color: var(--strong); box-shadow: 0 0 0 1px var(--strong); }
figure { margin: 0; }
img { display: block; width: 100%; aspect-ratio: 1; object-fit: cover; background: var(--line);
  image-rendering: auto; }
img[src^="data:image/png"] { image-rendering: pixelated; }
figcaption { padding: 0.4rem 0.6rem 0.5rem; font-size: 0.8rem; line-height: 1.4; }
.row { display: flex; gap: 0.4rem; align-items: baseline; min-height: 1.1rem; }
.rank { color: var(--faint); font-variant-numeric: tabular-nums; }
.rank::after { content: '.'; }
.figure { font-weight: 600; font-variant-numeric: tabular-nums; }
.mark { padding: 0 0.4rem; border-radius: 5px; background: var(--strong); color: var(--onstrong);
  font-size: 0.72rem; font-weight: 600; }
.label, .name { display: block; overflow: hidden; text-overflow: ellipsis; white-space: nowrap; }
.name { color: var(--faint); }
@media (max-width: 480px) { ul { grid-template-columns: repeat(2, minmax(0, 1fr)); gap: 0.6rem; } }
@media print { body { background: #ffffff; } li { break-inside: avoid; } }
`
