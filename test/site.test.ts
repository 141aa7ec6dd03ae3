/** The documentation as a site: every link and anchor leads somewhere, in the markdown too, and phones can read it. */
import { readdirSync } from 'node:fs'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { address, chapters, deadLinks, render, site, slug } from '../tools/docs/site.ts'
import { serve } from '../tools/web.ts'
import { launchChromium } from './chromium.ts'
import { need, root } from './util.ts'

const files = site()
const html = (path: string): string => files.get(path)!.toString()

test('every link of the markdown leads to a file and to a heading that is there', () => {
  assert.equal(deadLinks(files), [])
  assert.ok([...files.keys()].filter((path) => path.endsWith('.html')).length > 40)
})

test('a link to nowhere is found, in pages, pictures and places on a page', () => {
  const page = (body: string): Buffer => Buffer.from(body)
  const found = deadLinks(
    new Map([
      [
        'index.html',
        page('<h2 id="here"></h2><a href="#here"><a href="#there"><a href="a/b.html#x"><a href="c.html">'),
      ],
      [
        'a/b.html',
        page('<p id="x"><a href="../index.html#here"><img src="none.svg"><a href="https://example.com/#a">'),
      ],
    ]),
  )
  assert.equal(found, ['index.html: #there', 'index.html: c.html', 'a/b.html: none.svg'])
})

test('headings have the names that GitHub gives them', () => {
  assert.is(slug('Three numbers, with their limits'), 'three-numbers-with-their-limits')
  assert.is(slug('AMD EPYC (Zen 4) (AVX-512 VNNI)'), 'amd-epyc-zen-4-avx-512-vnni')
  assert.is(slug('mobilenet_v2_1.0_224'), 'mobilenet_v2_10_224')
  const { headings, body } = render('# `a` & *b*\n\n## Same\n\n## Same\n\n## Größe\n')
  assert.equal(
    headings.map(({ id }) => id),
    ['a--b', 'same', 'same-1', 'größe'],
  )
  assert.match(body, /<h2 id="same-1">/)
})

test('every guide and every example is in the navigation, once', () => {
  const paths = [...chapters().values()].flat().map(({ path }) => path)
  assert.is(new Set(paths).size, paths.length)
  for (const name of readdirSync(join(root, 'docs'))) {
    if (name.endsWith('.md')) assert.ok(paths.includes(`docs/${name}`), name)
  }
  for (const path of paths) assert.ok(files.has(address(path)), path)
  const start = html('index.html')
  for (const path of paths) assert.ok(start.includes(`href="${address(path)}"`), path)
})

test('a page is marked in the navigation, sources are there to read, nothing is fetched or run', () => {
  assert.match(html('docs/photos.html'), /href="photos.html" aria-current="page"/)
  assert.match(html('src/graph/graph.ts.html'), /<span id="L1">\/\*\*/)
  assert.match(html('weights/licenses/index.html'), /torchvision-BSD-3-Clause.txt/)
  for (const [path, bytes] of files) {
    if (path.endsWith('.html')) {
      assert.not.match(bytes.toString(), /<script|<(?:img|link)[^>]*(?:src|href)="https?:/, path)
    }
  }
})

need(
  test,
  'no page is wider than a phone',
  { resource: launchChromium, missing: 'needs playwright-core and Chromium: .ci/engines.sh system node' },
  async (launch) => {
    const server = await serve(files, 0)
    const browser = await launch()
    try {
      const page = await browser.newPage()
      const { port } = server.address() as AddressInfo
      const pages = [...chapters().values()].flat().map(({ path }) => address(path))
      await page.setViewportSize({ width: 360, height: 800 })
      for (const path of pages) {
        await page.goto(`http://localhost:${port}/${path}`)
        const wide = await page.evaluate<number>('document.documentElement.scrollWidth')
        assert.ok(wide <= 360, `${path} is ${wide} pixels wide`)
      }
    } finally {
      await browser.close()
      server.close()
    }
  },
)

test.run()
