/**
 * The documentation as a static site: the markdown of this repository as pages, with navigation. What the pages link to
 * comes along: other markdown as pages, sources and folders to read, pictures as they are. No script, nothing fetched.
 *
 * Usage: tsx tools/docs/site.ts [--out build/docs] [--port N]
 */
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { basename, dirname, extname, join, posix } from 'node:path'
import { fileURLToPath } from 'node:url'
import { Marked, type Tokens } from 'marked'
import { escapeMarkup } from '../../src/base/markup.ts'
import { serve } from '../web.ts'

const root = fileURLToPath(new URL('../..', import.meta.url))

/** What is in the navigation, and under which name where the page's own title is long for a menu. */
const CHAPTERS: Record<string, readonly (string | readonly [path: string, name: string])[]> = {
  Start: [['README.md', 'Thimble']],
  Guides: [
    ['docs/photos.md', 'Photos'],
    ['docs/live.md', 'Cameras and streams'],
    ['docs/bring-your-own-model.md', 'Bring your own model'],
    ['docs/quantize-arrays.md', 'Quantize without photos'],
    ['docs/teach.md', 'Teach it your things'],
    ['docs/scale.md', 'Beyond one machine'],
    ['docs/why-is-my-prediction-wrong.md', 'Why is it wrong?'],
  ],
  Models: [
    ['docs/models.md', 'Models by name'],
    ['weights/README.md', 'Weights that come along'],
    ['docs/heads.md', 'Heads'],
    ['docs/run-your-yolo.md', 'YOLO'],
    ['docs/edge-impulse-fomo.md', 'FOMO'],
    ['docs/movenet.md', 'MoveNet'],
  ],
  Operators: ['OPERATORS.md'],
  Hosts: [
    ['docs/raspberry-pi.md', 'Raspberry Pi'],
    ['examples/web/README.md', 'A page'],
    ['examples/bundler/README.md', 'A bundler'],
    ['examples/cloudflare-worker/README.md', 'Cloudflare Worker'],
    ['examples/cloudflare-queue/README.md', 'Cloudflare Queue'],
    ['examples/bullmq/README.md', 'Redis queue'],
    ['examples/embedded/README.md', 'Microcontroller'],
  ],
  Benchmarks: ['docs/benchmarks.md', ['bench/README.md', 'Measure it yourself'], ['docs/vnni.md', 'VNNI']],
  API: [
    ['docs/api.md', 'API'],
    ['docs/errors.md', 'Errors'],
  ],
  Inside: [
    ['ARCHITECTURE.md', 'Architecture'],
    ['RATIONALE.md', 'Why like this'],
    ['CONTRIBUTING.md', 'Contributing'],
    ['TESTING.md', 'Testing'],
    ['docs/fuzzing.md', 'Fuzzing'],
    ['SECURITY.md', 'Security'],
    ['CHANGELOG.md', 'Changelog'],
  ],
}
/** Where guides and hosts' examples go that nobody put anywhere. */
const REST = { docs: 'Guides', examples: 'Hosts' } as const

/** Files that a browser shows or plays as they are. */
const ASSETS = new Set(['.svg', '.png', '.jpg', '.jpeg', '.gif', '.webp'])

interface Heading {
  level: number
  id: string
  text: string
}
/** A page's markdown, rendered. */
interface Rendered {
  body: string
  headings: Heading[]
}
export interface Entry {
  path: string
  name: string
}

/** The name that GitHub gives a heading, so that a link works in both places. `taken` holds those of the page. */
export function slug(text: string, taken: Set<string> = new Set()): string {
  const plain = text
    .toLowerCase()
    .replace(/[^\p{L}\p{N}\p{M}\s_-]/gu, '')
    .replace(/\s/g, '-')
  let id = plain
  for (let n = 1; taken.has(id); n++) id = `${plain}-${n}`
  taken.add(id)
  return id
}

const ENTITIES: Record<string, string> = { amp: '&', lt: '<', gt: '>', quot: '"', '#39': "'" }
const unescape = (html: string): string => html.replace(/&(#39|amp|lt|gt|quot);/g, (_, name: string) => ENTITIES[name]!)
const plainText = (html: string): string => unescape(html.replace(/<[^>]*>/g, ''))

/** Markdown as HTML: headings have their names, tables may be scrolled sideways. */
export function render(markdown: string): Rendered {
  const headings: Heading[] = []
  const taken = new Set<string>()
  const marked = new Marked({
    renderer: {
      heading({ tokens, depth }: Tokens.Heading) {
        const html = this.parser.parseInline(tokens)
        const text = plainText(html)
        const id = slug(text, taken)
        headings.push({ level: depth, id, text })
        const own = html.includes('<a ') ? html : `<a class="here" href="#${id}">${html}</a>`
        return `<h${depth} id="${id}">${own}</h${depth}>\n`
      },
    },
  })
  const html = marked.parse(markdown, { async: false })
  return { body: html.replace(/<table>[^]*?<\/table>/g, (table) => `<div class="wide">${table}</div>`), headings }
}

const isFolder = (path: string): boolean => statSync(join(root, path)).isDirectory()
const text = (path: string): string => readFileSync(join(root, path), 'utf8')

/** Where a file of the repository is in the site. */
export function address(path: string): string {
  if (isFolder(path)) {
    return existsSync(join(root, path, 'README.md')) ? address(posix.join(path, 'README.md')) : `${path}/index.html`
  }
  if (ASSETS.has(extname(path))) return path
  if (basename(path) === 'README.md') return posix.join(dirname(path), 'index.html')
  return path.endsWith('.md') ? path.replace(/md$/, 'html') : `${path}.html`
}

/** The navigation: chapters as above without pages that are missing, with guides and examples that are new. */
export function chapters(): Map<string, Entry[]> {
  const found = new Map<string, Entry[]>()
  for (const [chapter, pages] of Object.entries(CHAPTERS)) {
    const entries = pages.map((page) => (typeof page === 'string' ? { path: page, name: chapter } : named(page)))
    found.set(
      chapter,
      entries.filter(({ path }) => existsSync(join(root, path))),
    )
  }
  const known = new Set([...found.values()].flat().map(({ path }) => path))
  for (const [folder, chapter] of Object.entries(REST)) {
    for (const name of readdirSync(join(root, folder)).sort()) {
      const path = folder === 'docs' ? `docs/${name}` : `examples/${name}/README.md`
      if (!path.endsWith('.md') || known.has(path) || !existsSync(join(root, path))) continue
      found.get(chapter)!.push({ path, name: plainText(render(text(path)).headings[0]?.text ?? name) })
    }
  }
  return found
}
const named = ([path, name]: readonly [string, string]): Entry => ({ path, name })

/** A source to read, with a name for every line (#L12). */
function source(path: string): Rendered {
  const lines = text(path).replace(/\n$/, '').split('\n')
  const rows = lines.map((line, i) => `<span id="L${i + 1}">${escapeMarkup(line)}</span>`)
  return {
    body: `<h1>${escapeMarkup(path)}</h1>\n<pre class="source"><code>${rows.join('\n')}</code></pre>`,
    headings: [],
  }
}

function folder(path: string): Rendered {
  const names = readdirSync(join(root, path)).filter((name) => !/^(\.|node_modules$|build$|dist$)/.test(name))
  const rows = names.sort().map((name) => `- [${name}](${name})`)
  return render(`# ${path}\n\n${rows.join('\n')}\n`)
}

function read(path: string): Rendered {
  if (isFolder(path)) return folder(path)
  return path.endsWith('.md') ? render(text(path)) : source(path)
}

const anchor = (attrs: string, name: string): string => `<a ${attrs}>${escapeMarkup(name)}</a>`

/** The frame around a page: navigation, the page, what is on it. */
function frame(path: string, page: Rendered, menu: Map<string, Entry[]>): string {
  const here = posix.dirname(address(path))
  const to = (target: string): string => posix.relative(here, target)
  const entry = (e: Entry): string =>
    `<li>${anchor(`href="${to(address(e.path))}"${e.path === path ? ' aria-current="page"' : ''}`, e.name)}</li>`
  const links = Array.from(
    menu,
    ([chapter, entries]) => `<h2>${chapter}</h2>\n<ul>\n${entries.map(entry).join('\n')}\n</ul>`,
  )
  const parts = page.headings.filter(({ level }) => level === 2 || level === 3)
  const onPage = parts.map(
    ({ level, id, text: words }) => `<li class="h${level}">${anchor(`href="#${id}"`, words)}</li>`,
  )
  const first = page.headings[0]?.text ?? path
  const title = path === 'README.md' ? 'Thimble' : `${first} · Thimble`
  const aside =
    onPage.length > 1
      ? `<nav class="parts" aria-label="On this page">\n<h2>On this page</h2>\n<ul>\n${onPage.join('\n')}\n</ul>\n</nav>`
      : ''
  return `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>${escapeMarkup(title)}</title>
<link rel="icon" href="${to('icon.svg')}">
<link rel="stylesheet" href="${to('style.css')}">
<a class="skip" href="#page">To the page</a>
<header>
<a class="name" href="${to('index.html')}"><img src="${to('icon.svg')}" width="28" height="28" alt="">Thimble</a>
<details class="menu"><summary>Menu</summary>
<nav aria-label="Pages">
${links.join('\n')}
</nav>
</details>
</header>
<div class="columns">
<nav class="pages" aria-label="Pages">
${links.join('\n')}
</nav>
<main id="page">
${page.body}
</main>
${aside}
</div>
</html>
`
}

/**
 * Links and pictures of a site's pages that lead to no file or to no place on its page, as `index.html: nothing.html`.
 */
export function deadLinks(files: ReadonlyMap<string, Buffer>): string[] {
  const dead: string[] = []
  for (const [path, bytes] of files) {
    if (!path.endsWith('.html')) continue
    for (const [, link] of bytes.toString().matchAll(/\s(?:href|src)="([^"]*)"/g)) {
      const target = unescape(link!)
      if (/^[a-z][a-z+.-]*:/i.test(target)) continue
      const [file, id] = target.split('#') as [string, string | undefined]
      const page = file ? posix.join(posix.dirname(path), decodeURIComponent(file)) : path
      const found = files.get(page)
      if (!found || (id && !found.includes(` id="${id}"`))) dead.push(`${path}: ${target}`)
    }
  }
  return dead
}

/** Every file of the site by its path. A link of the markdown that leads nowhere stays as it is, for `deadLinks`. */
export function site(): Map<string, Buffer> {
  const menu = chapters()
  const files = new Map<string, Buffer>([
    ['style.css', readFileSync(join(root, 'tools/docs/site.css'))],
    ['icon.svg', readFileSync(join(root, 'examples/web/icon.svg'))],
  ])
  const pages = new Map<string, Rendered>()
  const queue = [...menu.values()].flat().map(({ path }) => path)

  /** A link of `from`, as it is in the site; the file that it names joins the queue. */
  const follow = (from: string, link: string): string => {
    if (/^[a-z][a-z+.-]*:/i.test(link)) return link
    const [, file = '', id = ''] = /^([^#]*)#?(.*)$/.exec(link)!
    const base = isFolder(from) ? from : posix.dirname(from)
    const target = file ? posix.join(base, decodeURIComponent(file)).replace(/\/$/, '') : from
    if (target.startsWith('..') || !existsSync(join(root, target))) return link
    const page =
      target !== '.' && isFolder(target) && existsSync(join(root, target, 'README.md')) ? `${target}/README.md` : target
    queue.push(page)
    return posix.relative(posix.dirname(address(from)), address(page)) + (id && `#${id}`)
  }

  for (let path = queue.shift(); path; path = queue.shift()) {
    const from = path
    if (pages.has(from) || files.has(address(from))) continue
    if (!isFolder(from) && ASSETS.has(extname(from))) {
      files.set(address(from), readFileSync(join(root, from)))
      continue
    }
    const page = read(from)
    pages.set(from, page)
    // Sources have no links; what looks like one is text.
    if (isFolder(from) || from.endsWith('.md')) {
      page.body = page.body.replace(/(<[^>]*\s(?:href|src)=")([^"]*)"/g, (whole, before: string, link: string) =>
        before.startsWith('<a class="here"') ? whole : `${before}${escapeMarkup(follow(from, unescape(link)))}"`,
      )
    }
  }
  for (const [path, page] of pages) files.set(address(path), Buffer.from(frame(path, page, menu)))
  return files
}

async function main(args: string[]): Promise<void> {
  const option = (name: string): string | undefined => (args.includes(name) ? args[args.indexOf(name) + 1] : undefined)
  const files = site()
  const dead = deadLinks(files)
  if (dead.length) throw new Error(`links that lead nowhere:\n${dead.join('\n')}`)
  const out = option('--out') ?? join(root, 'build/docs')
  rmSync(out, { recursive: true, force: true })
  for (const [path, bytes] of files) {
    mkdirSync(dirname(join(out, path)), { recursive: true })
    writeFileSync(join(out, path), bytes)
  }
  console.log(`${files.size} files in ${out}`)
  const port = option('--port')
  if (port !== undefined) {
    await serve(files, Number(port))
    console.log(`http://localhost:${port}`)
  }
}

if (process.argv[1] === fileURLToPath(import.meta.url)) await main(process.argv.slice(2))
