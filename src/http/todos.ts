/** The to-do list by index, as the plugin guide published it: `GET`, `POST` and `DELETE /todos/{username}`. */
import Router from '@koa/router'
import type { Context } from 'koa'
import type { Bearer } from '../domain/grants.ts'
import { addTodo, deleteTodo, openTodos } from '../domain/todos.ts'
import { isUsername } from '../domain/users.ts'
import { newId } from '../ledger/ids.ts'
import { Refused } from '../ledger/ledger.ts'
import { inNameOf, requireBearer } from './bearer.ts'
import { by } from './origin.ts'
import { jsonObject } from './parse.ts'
import type { Deps } from './settings.ts'

/** ChatGPT takes at most 100,000 characters; a longer list is answered in parts. */
const MAX_ANSWER_CHARACTERS = 90_000

export function todoRoutes(deps: Deps): Router {
  const { ledger, settings } = deps
  const router = new Router({ sensitive: true, strict: true })
  const path = '/todos/:username'

  router.get(path, async (ctx) => {
    const bearer = await requireListOf(ctx, deps, 'todos:read')
    const from = fromIndex(ctx)
    ctx.set('Cache-Control', 'no-store')
    ctx.type = 'application/json'
    ctx.body = await ledger.read((state) => page(openTodos(state, bearer.user.id, from), from))
  })

  router.post(path, async (ctx) => {
    const bearer = await requireListOf(ctx, deps, 'todos:write')
    const { todo: text } = jsonObject(ctx)
    if (typeof text !== 'string') throw new Refused('todo_text_invalid')
    const id = newId(ledger.now())
    const input = { user: bearer.user.id, todo: id, text, maxOpen: settings.maxOpenTodos }
    const index = await ledger.transact(
      byBearer(ctx, bearer),
      inNameOf(bearer, deps, (state) => addTodo(state, input)),
    )
    ctx.body = { id, todo: text, todo_idx: index }
  })

  router.delete(path, async (ctx) => {
    const bearer = await requireListOf(ctx, deps, 'todos:write')
    const { todo_idx: index, todo: text } = jsonObject(ctx)
    if (typeof index !== 'number' || !Number.isSafeInteger(index)) throw new Refused('todo_index_invalid')
    if (text !== undefined && typeof text !== 'string') throw new Refused('todo_text_invalid')
    const input = { user: bearer.user.id, index, text }
    const item = await ledger.transact(
      byBearer(ctx, bearer),
      inNameOf(bearer, deps, (state) => deleteTodo(state, input)),
    )
    ctx.body = { id: item.id, todo: item.text }
  })

  return router
}

const byBearer = (ctx: Context, { user, client }: Bearer) => by(ctx, { kind: 'user', id: user.id }, client)

/** Whose list the path names: the bearer's own, by name, `me` or `global`. Anybody else's is told apart from nothing. */
async function requireListOf(ctx: Context, deps: Deps, scope: string): Promise<Bearer> {
  const bearer = await requireBearer(ctx, deps, scope)
  const name = String(ctx.params.username)
  // Only ASCII letters have a case here: other alphabets have letters that become one of them in lower case.
  if (/^(me|global)$/i.test(name)) return bearer
  if (!isUsername(name)) throw new Refused('list_invalid')
  if (name.toLowerCase() !== bearer.user.sealed.open?.username.toLowerCase()) throw new Refused('list_foreign')
  return bearer
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
 * @param items those from index `from` on
 */
export function page(items: Iterable<{ readonly text: string }>, from: number): string {
  const texts: string[] = []
  let characters = '{"todos":[]}'.length - 1
  for (const { text } of items) {
    const json = JSON.stringify(text)
    texts.push(json)
    characters += json.length + 1
    if (characters > MAX_ANSWER_CHARACTERS) return partOf(texts, characters, from)
  }
  return `{"todos":[${texts.join(',')}]}`
}

/** @param texts one more than fit @param characters what the whole answer with all of them would have */
function partOf(texts: string[], characters: number, from: number): string {
  const rest = (): string => `,"next_idx":${from + texts.length}`
  // One is given in any case, or nobody would get on.
  while (texts.length > 1 && characters + rest().length > MAX_ANSWER_CHARACTERS) characters -= texts.pop()!.length + 1
  return `{"todos":[${texts.join(',')}]${rest()}}`
}
