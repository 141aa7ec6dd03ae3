/**
 * What tools/x86-predict.ts feeds to LLVM: V8's products as one VPDPBUSD each, nothing else changed, and how many
 * instructions the hot loops have. No clock, no processor model.
 */
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { engineFeatures } from '../src/kernels/kernels.ts'
import { tool } from '../tools/codegen/arm-mca.ts'
import { withVnni, x86Loops } from '../tools/codegen/x86-loops.ts'
import { skip } from './util.ts'

test('three instructions of a relaxed dot product become one VPDPBUSD', () => {
  const lines = [
    'vmovdqu (%rsi,%rcx), %xmm9',
    'vpcmpeqd %xmm15, %xmm15, %xmm15',
    'vpsrlw $15, %xmm15, %xmm15',
    'vpmaddubsw %xmm8, %xmm9, %xmm10',
    'vpmaddwd %xmm15, %xmm10, %xmm10',
    'vpaddd %xmm10, %xmm0, %xmm0',
    'addl $32, %edx',
  ]
  assert.equal(withVnni(lines), [lines[0], '{vex} vpdpbusd %xmm8, %xmm9, %xmm0', lines[6]])
})

test('a sum that goes to another register is moved there first', () => {
  const lines = ['vpmaddubsw %xmm8, %xmm9, %xmm10', 'vpmaddwd %xmm10, %xmm15, %xmm10', 'vpaddd %xmm1, %xmm10, %xmm2']
  assert.equal(withVnni(lines), ['vmovdqa %xmm1, %xmm2', '{vex} vpdpbusd %xmm8, %xmm9, %xmm2'])
})

test('two products under way are told apart by their registers', () => {
  const lines = [
    'vpmaddubsw %xmm8, %xmm9, %xmm10',
    'vpmaddubsw %xmm7, %xmm9, %xmm11',
    'vpmaddwd %xmm15, %xmm11, %xmm11',
    'vpmaddwd %xmm15, %xmm10, %xmm10',
    'vpaddd %xmm11, %xmm1, %xmm1',
    'vpaddd %xmm10, %xmm0, %xmm0',
  ]
  assert.equal(withVnni(lines), ['{vex} vpdpbusd %xmm7, %xmm9, %xmm1', '{vex} vpdpbusd %xmm8, %xmm9, %xmm0'])
})

test('code without such products stays as it is', () => {
  const lines = ['vpmaddwd %xmm1, %xmm2, %xmm3', 'vpaddd %xmm3, %xmm0, %xmm0', 'vpcmpeqd %xmm15, %xmm15, %xmm15']
  assert.equal(withVnni(lines), lines)
})

/** Most instructions for each product, and the products of a turn, of every loop: four pixels by eight channels. */
const LOOPS = [
  { name: 'gemm-4x8c4-dot', product: 'vpdpbusd', products: 8, most: 2.5 },
  { name: 'gemm-4x8 ', product: 'vpmaddwd', products: 8, most: 3.25 },
  { name: 'winograd-4x8', product: 'vpmaddwd', products: 8, most: 3.25 },
  { name: 'polyphase-4x8', product: 'vpmaddwd', products: 8, most: 3.25 },
]

const why =
  process.arch !== 'x64'
    ? 'not an x64 Node'
    : !engineFeatures().relaxed
      ? 'this engine has no relaxed SIMD'
      : tool('llvm-mc')
        ? ''
        : 'llvm-mc is missing'
if (why) skip('instructions of the hot loops', why)
else {
  test('instructions of the hot loops', () => {
    const loops = x86Loops(process.execPath)
    assert.is(loops.length, LOOPS.length)
    for (const { name, product, products, most } of LOOPS) {
      const { lines } = loops.find((l) => l.name.includes(name))!
      const count = lines.filter((l) => l.includes(product)).length
      assert.is(count % products, 0, `${name}: ${count} products`)
      assert.ok(count >= products, name)
      assert.ok(lines.length <= most * count, `${name}: ${lines.length} instructions for ${count} products`)
      assert.not.ok(
        lines.some((l) => l.startsWith('vpmaddubsw')),
        name,
      )
      // Nothing in it goes to the stack: a spilled accumulator would cost more than a product.
      assert.equal(
        lines.filter((l) => /xmm.*\(%rbp|\(%rbp.*xmm/.test(l)),
        [],
        name,
      )
    }
  })
}

test.run()
