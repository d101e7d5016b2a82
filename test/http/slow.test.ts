/** K. Clients that take their time, and answers that would. */
import { connect, type Socket } from 'node:net'
import test from 'ava'
import { ClientSide, person, startWorld, wait } from '../_support.ts'
import { holdWrites } from './_elsewhere.ts'

/** Connects and sends the beginning of a request; tells when it was cut, in ms since `began`. */
function slow(url: string, beginning: string, began: number): { socket: Socket; cut: Promise<number> } {
  const { port } = new URL(url)
  const socket = connect(Number(port), '127.0.0.1')
  socket.write(beginning)
  socket.resume().on('error', () => {})
  return { socket, cut: new Promise((resolve) => socket.once('close', () => resolve(performance.now() - began))) }
}

test.serial('110. a thousand slow clients: the others are answered, and the slow ones cut after seconds', async (t) => {
  t.timeout(120_000)
  const world = await startWorld(t)
  const chatgpt = new ClientSide(world.url)
  const { access_token: token } = await chatgpt.connect(person('alice'))
  const began = performance.now()
  const beginnings = [
    'GET / HTTP/1.1\r\nHost: x\r\nX-Slow: ',
    'POST /todos/me HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 99\r\n\r\n{',
    'G',
  ]
  const clients = Array.from({ length: 1000 }, (_, i) => slow(world.url, beginnings[i % 3]!, began))
  t.teardown(() => clients.forEach(({ socket }) => void socket.destroy()))
  for (let i = 0; i < 20; i++) {
    t.is((await chatgpt.api(token, 'POST', '/todos/me', { todo: `meanwhile ${i}` })).status, 200)
    await wait(20)
  }
  // A drop now and then keeps nobody alive.
  const dripping = setInterval(() => {
    for (const { socket } of clients) if (!socket.destroyed) socket.write('a')
  }, 1000)
  const cuts = await Promise.all(clients.map(({ cut }) => cut))
  clearInterval(dripping)
  t.true(Math.max(...cuts) < 40_000, `the last after ${Math.max(...cuts)} ms`)
  t.is((await chatgpt.api(token, 'GET', '/todos/me')).json.todos.length, 20)
})

test.serial(
  'what takes too long is answered with 503, and that it is not known whether it was done; what was done is whole',
  async (t) => {
    const world = await startWorld(t, { deadlineMs: 1500 })
    const chatgpt = new ClientSide(world.url)
    const { access_token: token } = await chatgpt.connect(person('alice'))
    await world.news()
    const release = holdWrites(t)
    const { status, headers, json } = await chatgpt.api(token, 'POST', '/todos/me', { todo: 'late' })
    await release()
    t.deepEqual([status, json.error, headers.get('retry-after')], [503, 'timeout', '5'])
    t.regex(json.message, /not known whether/)
    // Whoever reads what is not on disk yet waits for it.
    t.is(await world.ledger.read((state) => [...state.todos.entries()].length), 1)
    t.deepEqual(await world.news(), ['TodoAdded'])
    t.deepEqual((await chatgpt.api(token, 'GET', '/todos/me')).json, { todos: ['late'] })
  },
)
