/** What is said of a release: the bill of materials, the notices, the comparison of two builds. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { notices, sbom, type Component } from '../tools/release/sbom.ts'
import { difference, entries } from '../tools/release/tarball.ts'
import { root } from './util.ts'

interface Manifest {
  name: string
  version: string
  files: string[]
  dependencies?: Record<string, string>
}
const manifest = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as Manifest
const bill = await sbom()

const KEYS = ['bomFormat', 'specVersion', 'serialNumber', 'version', 'metadata', 'components', 'dependencies']
const COMPONENT = 'type bom-ref name version description scope purl hashes licenses properties'.split(
  ' ',
) satisfies string[]
const DIGITS = { 'SHA-256': 64, 'SHA-512': 128 }

test('the bill of materials has the shape of CycloneDX 1.6', () => {
  assert.equal(Object.keys(bill), KEYS)
  assert.is(bill.bomFormat, 'CycloneDX')
  assert.is(bill.specVersion, '1.6')
  assert.match(bill.serialNumber, /^urn:uuid:[0-9a-f]{8}-[0-9a-f]{4}-8[0-9a-f]{3}-8[0-9a-f]{3}-[0-9a-f]{12}$/)
  assert.is(bill.version, 1)
  const all: Component[] = [bill.metadata.component, ...bill.components]
  for (const component of all) {
    assert.equal(
      Object.keys(component).filter((key) => !COMPONENT.includes(key)),
      [],
      component.name,
    )
    for (const { alg, content } of component.hashes ?? []) {
      assert.match(content, new RegExp(`^[0-9a-f]{${DIGITS[alg]}}$`), component.name)
    }
    for (const { license } of component.licenses) {
      assert.match(license.id, /^(MIT|Apache-2\.0|BSD-3-Clause)$/, component.name)
    }
  }
})

test('references are unique, and the graph names each of them', () => {
  const refs = [bill.metadata.component, ...bill.components].map((c) => c['bom-ref'])
  assert.is(new Set(refs).size, refs.length)
  assert.equal(
    bill.dependencies.map(({ ref }) => ref),
    refs,
  )
  assert.equal(bill.dependencies[0]!.dependsOn, refs.slice(1))
})

test('it names what is bundled, in the version that is installed', () => {
  assert.is(manifest.dependencies, undefined)
  assert.is(bill.metadata.component.purl, `pkg:npm/${manifest.name}@${manifest.version}`)
  const libraries = bill.components.filter(({ type }) => type === 'library')
  assert.equal(libraries.map(({ name }) => name).sort(), ['assemblyscript', 'fflate'])
  for (const { name, version } of libraries) {
    const installed = JSON.parse(readFileSync(join(root, 'node_modules', name, 'package.json'), 'utf8')) as Manifest
    assert.is(version, installed.version)
  }
})

test('it names the models in the package, and their licences are there', () => {
  const models = bill.components.filter(({ type }) => type === 'machine-learning-model')
  const packed = manifest.files.filter((file) => file.endsWith('.thimble'))
  assert.equal(models.map((c) => c['bom-ref']).sort(), packed.sort())
  for (const { name, licenses } of models) {
    const text = manifest.files.some(
      (f) => f.startsWith('weights/licenses/') && f.endsWith(`-${licenses[0]!.license.id}.txt`),
    )
    assert.ok(text, name)
  }
})

test('THIRD-PARTY.txt is up to date and in the package (npm run sbom -- --write)', async () => {
  assert.ok(manifest.files.includes('THIRD-PARTY.txt'))
  assert.is(readFileSync(join(root, 'THIRD-PARTY.txt'), 'utf8'), await notices())
})

/** A tar archive of one entry a file. */
function tar(files: Record<string, string>): Uint8Array {
  const blocks = Object.entries(files).flatMap(([path, content]) => {
    const header = Buffer.alloc(512)
    header.write(path, 0)
    header.write(content.length.toString(8).padStart(11, '0'), 124)
    const body = Buffer.alloc(Math.ceil(content.length / 512) * 512)
    body.write(content)
    return [header, body]
  })
  return Buffer.concat([...blocks, Buffer.alloc(1024)])
}

test('two packages: the first file that differs is named', () => {
  const one = tar({ a: 'x'.repeat(600), b: 'hello' })
  assert.equal(
    entries(one).map(({ path, bytes }) => [path, bytes.length]),
    [
      ['a', 600],
      ['b', 5],
    ],
  )
  assert.is(difference(one, tar({ a: 'x'.repeat(600), b: 'hello' })), undefined)
  assert.is(difference(one, tar({ a: 'x'.repeat(600), b: 'help!' })), 'b differs at byte 3')
  assert.is(difference(one, tar({ a: 'x'.repeat(600), b: 'hello?' })), 'b has 5 bytes against 6')
  assert.is(difference(one, tar({ a: 'x'.repeat(600) })), 'file 1: b against nothing')
  assert.is(difference(one, tar({ c: 'x'.repeat(600), b: 'hello' })), 'file 0: a against c')
  const touched = Uint8Array.from(one)
  touched[136] = 1
  assert.match(difference(one, touched)!, /headers/)
})

test.run()
