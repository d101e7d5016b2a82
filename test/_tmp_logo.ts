import { readFileSync } from 'node:fs'
import { openBrowser } from './_browser.ts'
const svg = readFileSync('openapi/logo.svg', 'utf8')
const b = await openBrowser()
const shot = async (size: number, file: string) => {
  const p = await (await b.newContext({ viewport: { width: size, height: size } })).newPage()
  await p.setContent(`<style>*{margin:0}svg{display:block;width:${size}px;height:${size}px}</style>${svg}`)
  await p.screenshot({ path: file, omitBackground: true })
}
await shot(512, 'openapi/logo.png')
const p = await (await b.newContext({ viewport: { width: 900, height: 480 }, deviceScaleFactor: 2 })).newPage()
const row = (bg: string) => `<div style="background:${bg};padding:20px;display:flex;gap:24px;align-items:center;height:200px">${[180, 96, 64, 32, 24, 16].map(s => `<i style="display:block;width:${s}px;height:${s}px">${svg}</i>`).join('')}</div>`
await p.setContent(`<style>body{margin:0}svg{display:block;width:100%;height:100%}</style>${row('#fff')}${row('#0b0f12')}`)
await p.screenshot({ path: '/tmp/tryb/out/sheet.png' })
const q = await (await b.newContext({ viewport: { width: 32, height: 32 } })).newPage()
await q.setContent(`<style>*{margin:0}svg{display:block;width:32px;height:32px}</style>${svg}`)
const raw = (await q.screenshot({ omitBackground: true })).toString('base64')
const z = await (await b.newContext({ viewport: { width: 340, height: 340 } })).newPage()
await z.setContent(`<style>*{margin:0}</style><img style="image-rendering:pixelated;width:320px;margin:10px" src="data:image/png;base64,${raw}">`)
await z.screenshot({ path: '/tmp/tryb/out/32.png' })
await b.close()
