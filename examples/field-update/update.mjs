/**
 * Makes what agent takes: update.mjs keys PREFIX | update.mjs sign PREFIX.key VERSION MODULE.wasm INPUT OUTPUT -o FILE
 * INPUT, OUTPUT: a tensor and the bytes that the model has to answer (`thimble run MODEL --input INPUT --output OUTPUT`
 * writes OUTPUT0).
 */
import { createPrivateKey, generateKeyPairSync, sign } from 'node:crypto'
import { readFileSync, writeFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'

const number = (n) => new Uint8Array(Uint32Array.of(n).buffer)
const part = (bytes) => [number(bytes.length), bytes]

/** A key, and the public one as the agent takes it. */
export function makeKey() {
  const { privateKey, publicKey } = generateKeyPairSync('ed25519')
  return { privateKey, publicHex: publicKey.export({ format: 'der', type: 'spki' }).subarray(-32).toString('hex') }
}

export function bundle(privateKey, { version, module, input, output }) {
  const signed = Buffer.concat([number(version), ...part(module), ...part(input), ...part(output)])
  return Buffer.concat([sign(null, signed, privateKey), signed])
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const [command, name, version, module, input, output, o, file] = process.argv.slice(2)
  if (command === 'keys' && name !== undefined) {
    const { privateKey, publicHex } = makeKey()
    writeFileSync(`${name}.key`, privateKey.export({ format: 'pem', type: 'pkcs8' }), { mode: 0o600 })
    console.log(publicHex)
  } else if (command === 'sign' && o === '-o' && file !== undefined) {
    const [wasm, asked, answer] = [module, input, output].map((path) => readFileSync(path))
    const key = createPrivateKey(readFileSync(name))
    writeFileSync(file, bundle(key, { version: Number(version), module: wasm, input: asked, output: answer }))
  } else {
    console.error('update.mjs keys PREFIX | update.mjs sign PREFIX.key VERSION MODULE.wasm INPUT OUTPUT -o FILE')
    process.exitCode = 2
  }
}
