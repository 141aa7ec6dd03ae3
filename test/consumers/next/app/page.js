'use client'

import { useEffect, useState } from 'react'
import { answer } from '../../answer.js'

export default function Page() {
  const [text, setText] = useState('')
  useEffect(() => {
    answer('/').then(setText, (error) => setText(`failed: ${error}`))
  }, [])
  return <output>{text}</output>
}
