/**
 * One entry per opcode. The exported names tie an opcode to its code for the linker, which drops the kernels that a
 * packed model does not use. They are aliases: a wrapper would be inlined into the executor and leave its kernel
 * reachable.
 */
export { copy as kernel_1 } from './copy'
export { fill as kernel_2 } from './copy'
export { lut as kernel_3 } from './copy'
export { conv as kernel_4 } from './conv'
export { depthwise3x3 as kernel_5 } from './depthwise3x3'
export { depthwise as kernel_6 } from './depthwise'
export { fullyConnected as kernel_7 } from './fully-connected'
export { binary as kernel_8 } from './binary'
export { averagePool as kernel_9 } from './pool'
export { maxPool as kernel_10 } from './pool'
export { mean as kernel_11 } from './pool'
export { softmax as kernel_12 } from './numeric'
export { dequantize as kernel_13 } from './numeric'
export { quantize as kernel_14 } from './numeric'
export { resizeBilinear as kernel_15 } from './numeric'
export { gather as kernel_16 } from './copy'
export { argMax as kernel_17 } from './numeric'
export { stridedCopy as kernel_18 } from './copy'
export { transposeConv as kernel_19 } from './transpose-conv'
export { detection as kernel_20 } from './detection'
export { convDirect as kernel_22 } from './conv-direct'
export { depthwise3x3Products as kernel_23 } from './depthwise3x3-products'
export { depthwise3x3Dot as kernel_24 } from './depthwise3x3-dot'
export { depthwise5x5 as kernel_26 } from './depthwise5x5'
export { arithmetic as kernel_27 } from './words'
export { gatherNd as kernel_28 } from './words'
export { channelLut as kernel_29 } from './copy'

/** GEMM forms of kernel_4, for the linker likewise. */
export { gemm4x8 as gemm_0 } from './gemm-4x8'
export { gemm3x8c8 as gemm_8 } from './gemm-3x8c8'
export { gemm4x16c4 as gemm_9 } from './gemm-4x16c4'
export { gemm4x8w8 as gemm_11 } from './gemm-4x8'
export { gemm4x8Shuffle as gemm_12 } from './gemm-4x8'
