/**
 * What is inside the package, as a CycloneDX 1.6 bill of materials: the packages that esbuild bundled into dist/, the
 * compiler whose standard library is in the modules, the models with their licences. The same for the same sources.
 *
 * Usage: npm run sbom [-- --write]
 *   --write  THIRD-PARTY.txt instead: the licence texts of what is bundled
 */
import { createHash } from 'node:crypto'
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { bundledPackages } from '../bundle.ts'

const root = fileURLToPath(new URL('../..', import.meta.url))

/** Packages whose code asc compiles into the modules: no bundler sees them. */
const COMPILED_IN = ['assemblyscript']

interface Hash {
  alg: 'SHA-256' | 'SHA-512'
  content: string
}

export interface Component {
  type: 'library' | 'machine-learning-model'
  'bom-ref': string
  name: string
  version?: string
  description?: string
  scope?: 'required'
  purl?: string
  hashes?: Hash[]
  licenses: { license: { id: string } }[]
  properties?: { name: string; value: string }[]
}

export interface Sbom {
  bomFormat: 'CycloneDX'
  specVersion: '1.6'
  serialNumber: string
  version: number
  metadata: { component: Component }
  components: Component[]
  dependencies: { ref: string; dependsOn: string[] }[]
}

interface Locked {
  version: string
  license: string
  integrity: string
}
interface Weights {
  name: string
  file: string
  packaged?: boolean
  sha256: string
  license: string
  source: string
  description: string
}

const json = <T>(path: string): T => JSON.parse(readFileSync(join(root, path), 'utf8')) as T

const licensed = (id: string): Component['licenses'] => [{ license: { id } }]

/** npm's `sha512-<base64>` of the package's tarball. */
function integrityHash(integrity: string): Hash {
  const [alg, base64] = integrity.split('-')
  if (alg !== 'sha512' || !base64) throw new Error(`package-lock.json: integrity ${integrity}, expected sha512`)
  return { alg: 'SHA-512', content: Buffer.from(base64, 'base64').toString('hex') }
}

function library(name: string, { version, license, integrity }: Locked, how: string): Component {
  const purl = `pkg:npm/${name.replace('@', '%40')}@${version}`
  return {
    type: 'library',
    'bom-ref': purl,
    name,
    version,
    scope: 'required',
    purl,
    hashes: [integrityHash(integrity)],
    licenses: licensed(license),
    properties: [{ name: 'thimble:included', value: how }],
  }
}

const model = ({ name, file, sha256, license, source, description }: Weights): Component => ({
  type: 'machine-learning-model',
  'bom-ref': `weights/${file}`,
  name,
  description,
  hashes: [{ alg: 'SHA-256', content: sha256 }],
  licenses: licensed(license),
  properties: [{ name: 'thimble:source', value: source }],
})

/** A UUID (version 8) that the content determines. */
function uuidOf(content: string): string {
  const hex = createHash('sha256').update(content).digest('hex')
  return [hex.slice(0, 8), hex.slice(8, 12), `8${hex.slice(13, 16)}`, `8${hex.slice(17, 20)}`, hex.slice(20, 32)].join(
    '-',
  )
}

/** Names of the packages with code in the package, and how it came there. */
async function included(): Promise<[name: string, how: string][]> {
  const bundled = await bundledPackages(root)
  return [
    ...bundled.map((name): [string, string] => [name, 'bundled into dist/']),
    ...COMPILED_IN.map((name): [string, string] => [name, 'standard library compiled into the wasm modules']),
  ]
}

export async function sbom(): Promise<Sbom> {
  const manifest = json<{ name: string; version: string; license: string; description: string }>('package.json')
  const { packages } = json<{ packages: Record<string, Locked> }>('package-lock.json')
  const libraries = (await included()).map(([name, how]) => {
    const locked = packages[`node_modules/${name}`]
    if (!locked) throw new Error(`${name} is bundled, package-lock.json does not have it`)
    return library(name, locked, how)
  })
  const models = json<Weights[]>('weights/manifest.json')
    .filter(({ packaged }) => packaged)
    .map(model)
  const components = [...libraries, ...models]
  const purl = `pkg:npm/${manifest.name}@${manifest.version}`
  const component: Component = {
    type: 'library',
    'bom-ref': purl,
    name: manifest.name,
    version: manifest.version,
    description: manifest.description,
    purl,
    licenses: licensed(manifest.license),
  }
  const body = {
    metadata: { component },
    components,
    dependencies: [
      { ref: purl, dependsOn: components.map((c) => c['bom-ref']) },
      ...components.map((c) => ({ ref: c['bom-ref'], dependsOn: [] })),
    ],
  }
  const serialNumber = `urn:uuid:${uuidOf(JSON.stringify(body))}`
  return { bomFormat: 'CycloneDX', specVersion: '1.6', serialNumber, version: 1, ...body }
}

/** THIRD-PARTY.txt: the notices that the licences of bundled code ask for. */
export async function notices(): Promise<string> {
  const texts = (await included()).map(([name, how]) => {
    const folder = join(root, 'node_modules', name)
    const texts = ['LICENSE', 'NOTICE']
      .map((file) => join(folder, file))
      .filter((path, i) => i === 0 || existsSync(path))
      .map((path) => readFileSync(path, 'utf8').trimEnd())
    return `${'='.repeat(80)}\n${name}: ${how}\n\n${texts.join('\n\n')}\n`
  })
  return `Code of others in this package. Written by \`npm run sbom -- --write\`.\nThe models have their licences in weights/licenses/.\n\n${texts.join('\n')}`
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  if (process.argv.includes('--write')) writeFileSync(join(root, 'THIRD-PARTY.txt'), await notices())
  else console.log(JSON.stringify(await sbom(), undefined, 2))
}
