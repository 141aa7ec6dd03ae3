// A program of examples/hosts: node example.mjs PROGRAM MODULE.wasm 1 RUNS IN=PREFIX ...; the time is the program's
// own.
import { execFileSync } from 'node:child_process'
import { basename } from 'node:path'

const [program, wasm, outputs, , ...cases] = process.argv.slice(2)
if (outputs !== '1') throw new Error(`${program} writes one output`)
const said = cases.map((each) => {
  const [input, prefix] = each.split('=')
  return execFileSync(program, [wasm, input, `${prefix}0`], { encoding: 'utf8', timeout: 120_000 })
})
const [ms, memoryBytes = 0] = said[0].match(/\d+(\.\d+)?/g).map(Number)
console.log(JSON.stringify({ engine: basename(program), abi: 1, memoryBytes, ms }))
