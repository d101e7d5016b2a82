/** What the tests of the item routes stand on: alice and bob connected, their lists, and exact refusals. */
import type { ExecutionContext } from 'ava'
import type { Settings } from '../../src/http/settings.ts'
import type { Item } from '../../src/service/todos.ts'
import { ClientSide, person, startWorld, type World } from '../_support.ts'
import type { Answered, Lines } from './_elsewhere.ts'

export const ITEMS = '/todos/me/items'
export const BATCH = '/todos/me/batch'
/** An id that nobody's to-do has. */
export const NO_ID = '01ARZ3NDEKTSV4RRFFQ69G5FAV'

export type Ask = (method: string, path: string, body?: unknown, headers?: Lines) => Promise<Answered>

/** Calls a server with a token. */
export const asking =
  (url: string, token: string | undefined): Ask =>
  (method, path, body, headers = {}) =>
    new ClientSide(url).api(token, method, path, body, headers)

export async function begin(t: ExecutionContext, changed: Partial<Settings> = {}) {
  const world = await startWorld(t, changed)
  const chatgpt = new ClientSide(world.url)
  const { access_token: token } = await chatgpt.connect(person('alice'))
  const { access_token: bobs } = await chatgpt.connect(person('bob'))
  const [ask, askAsBob] = [asking(world.url, token), asking(world.url, bobs)]
  /** Adds items; gives them as they were answered. */
  const add = async (...items: (string | object)[]): Promise<Item[]> => {
    const bodies = items.map((item) => (typeof item === 'string' ? { todo: item } : item))
    const added: Item[] = []
    for (const body of bodies) {
      const answer = await ask('POST', ITEMS, body)
      t.is(answer.status, 201, answer.text)
      added.push(answer.json)
    }
    await world.news()
    return added
  }
  const find = async (query = ''): Promise<Item[]> => (await ask('GET', ITEMS + query)).json.items
  const refused = refusing(t, world)
  await world.news()
  return { ...world, world, chatgpt, token, bobs, ask, askAsBob, add, find, refused }
}

/** Asserts an exact refusal, with nothing recorded. `says`: what the message has to say. */
export const refusing =
  (t: ExecutionContext, { news }: Pick<World, 'news'>) =>
  async (answer: Answered, status: number, error: string, because: string, says?: string | RegExp): Promise<void> => {
    t.is(answer.status, status, `${because}: ${answer.text}`)
    t.deepEqual(Object.keys(answer.json), ['error', 'message', 'request_id'], because)
    t.is(answer.json.error, error, because)
    t.is(answer.headers.get('content-type'), 'application/json; charset=utf-8', because)
    if (says instanceof RegExp) t.regex(answer.json.message, says, because)
    else if (says !== undefined) t.true(answer.json.message.includes(says), `${because}: ${answer.json.message}`)
    t.deepEqual(await news(), [], because)
  }
