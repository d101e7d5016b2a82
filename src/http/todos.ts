/** The to-do list by index, as the plugin guide published it: `GET`, `POST` and `DELETE /todos/{username}`. */
import Router from '@koa/router'
import type { Context } from 'koa'
import { Refused } from '../ledger/refused.ts'
import { MAX_ANSWER_CHARACTERS, READ, WRITE } from '../service/todos.ts'
import { readJson, SMALL_BYTES } from './body.ts'
import { requireListCaller } from './callers.ts'
import { type Body, keyOf, queryOf, requiredText } from './members.ts'
import { jsonObject, onlyMembers, queryParameters } from './parse.ts'
import type { Deps } from './settings.ts'

const PATH = '/todos/:username'

export function todoRoutes(deps: Deps): Router {
  const { todos } = deps.services
  const router = new Router({ sensitive: true, strict: true })

  router.get(PATH, async (ctx) => {
    const caller = await requireListCaller(ctx, deps, READ)
    const from = fromIndex(ctx)
    ctx.set('Cache-Control', 'no-store')
    ctx.type = 'application/json'
    ctx.body = await todos.texts(caller, (open) => page(open.from(from), from))
  })

  router.post(PATH, async (ctx) => {
    const caller = await requireListCaller(ctx, deps, WRITE)
    await readJson(ctx, { limit: SMALL_BYTES, deps, budget: caller.budget })
    const { todo } = onlyMembers(jsonObject(ctx), ['todo', 'username'])
    const text = requiredText(todo, 'todo_text_invalid')
    const { index, items } = await todos.add(caller, [{ text }], keyOf(ctx))
    ctx.body = { id: items[0]!.id, todo: text, todo_idx: index }
  })

  router.delete(PATH, async (ctx) => {
    const caller = await requireListCaller(ctx, deps, WRITE)
    await readJson(ctx, { limit: SMALL_BYTES, deps, budget: caller.budget })
    const { todo_idx: index, todo: text } = deletion(ctx)
    if (typeof index !== 'number' || !Number.isSafeInteger(index)) throw new Refused('todo_index_invalid')
    if (text !== undefined && typeof text !== 'string') throw new Refused('todo_text_invalid')
    const item = await todos.deleteAt(caller, index, text, keyOf(ctx))
    ctx.body = { id: item.id, todo: item.todo }
  })

  return router
}

/**
 * Which to-do to delete: by the body, or by the query, since some gateways drop the body of a DELETE. Some clients send
 * both: then they must say the same.
 */
function deletion(ctx: Context): Body {
  const query = queryParameters(ctx.querystring)
  const isByQuery = query.has('todo_idx') || query.has('todo')
  const hasBody = !isByQuery || Boolean(ctx.request.rawBody)
  const body = hasBody ? onlyMembers(jsonObject(ctx), ['todo_idx', 'todo', 'username']) : {}
  if (!isByQuery) return body
  const given = queryOf(ctx, ['todo_idx', 'todo'])
  const index = given.get('todo_idx')
  const asked = { ...body }
  if (index !== undefined) asked.todo_idx = /^\d{1,9}$/.test(index) ? Number(index) : Number.NaN
  if (given.has('todo')) asked.todo = given.get('todo')
  const differs = Object.keys(body).find((name) => body[name] !== asked[name])
  if (differs !== undefined)
    throw new Refused('parameter_repeated', `${differs} stands in the query and in the body, and differs.`)
  return asked
}

function fromIndex(ctx: Context): number {
  const from = ctx.query.from ?? '0'
  if (typeof from !== 'string' || !/^\d{1,9}$/.test(from))
    throw new Refused('todo_index_invalid', '"from" must be a whole number.')
  return Number(from)
}

/**
 * The texts of a list as JSON: `{"todos":[…]}`, or as many of them as fit one answer and `"next_idx"`, where the rest
 * begins.
 * @param texts those from index `from` on
 */
export function page(texts: Iterable<string>, from: number): string {
  const quoted: string[] = []
  let characters = '{"todos":[]}'.length - 1
  for (const text of texts) {
    const json = JSON.stringify(text)
    quoted.push(json)
    characters += json.length + 1
    if (characters > MAX_ANSWER_CHARACTERS) return partOf(quoted, characters, from)
  }
  return `{"todos":[${quoted.join(',')}]}`
}

/** @param texts one more than fit @param characters what the whole answer with all of them would have */
function partOf(texts: string[], characters: number, from: number): string {
  const rest = (): string => `,"next_idx":${from + texts.length}`
  // At least one is given, or a reader would never get past it.
  while (texts.length > 1 && characters + rest().length > MAX_ANSWER_CHARACTERS) characters -= texts.pop()!.length + 1
  return `{"todos":[${texts.join(',')}]${rest()}}`
}
