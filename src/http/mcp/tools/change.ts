/** Tools that add to-dos and change them. */
import { z } from 'zod'
import { MAX_BATCH, type Place, WRITE } from '../../../service/todos.ts'
import { rendered } from '../batch-result.ts'
import { args, batchResult, due, id, ids, item, notes, oneItem, priority, text } from '../schemas.ts'
import { CHANGES, tool } from '../tool.ts'

const key = z
  .string()
  .regex(/^[\x21-\x7e]{1,255}$/, { error: 'must be 1 to 255 visible ASCII characters.' })
  .describe('a new random text for each new request; the same one when you repeat a call that may have failed')

export const addTodos = tool({
  name: 'add_todos',
  title: 'Add to-dos',
  description:
    "Adds 1 to 25 to-dos at the end of the list: all of them, or none. Use the user's own words, one to-do for each thing to do. Set due, priority and notes only if the user said so. Do not add what is there already: look with find_todos if in doubt. Tell the user what was added.",
  scope: WRITE,
  input: args({
    items: z
      .array(
        args({
          todo: text.describe('what to do'),
          due: due.exactOptional(),
          priority: priority.exactOptional(),
          notes: notes.exactOptional(),
        }),
      )
      .min(1)
      .max(MAX_BATCH),
    idempotency_key: key.exactOptional(),
  }),
  output: z.strictObject({ items: z.array(item) }),
  hints: { ...CHANGES, idempotentHint: false },
  async run({ deps, caller }, { items, idempotency_key }) {
    const drafts = items.map(({ todo, ...details }) => ({ text: todo, ...details }))
    const added = await deps.services.todos.add(caller, drafts, { key: idempotency_key })
    return { items: [...added.items] }
  },
})

export const updateTodo = tool({
  name: 'update_todo',
  title: 'Edit a to-do',
  description:
    'Changes the text, notes or priority of one to-do; what you leave out stays as it is. It never changes the due date (reschedule_todos) nor marks it done (complete_todos). notes replaces all notes: to add to them, send the old ones too.',
  scope: WRITE,
  input: args(
    {
      id,
      todo: text.exactOptional().describe('the new text'),
      notes: notes.exactOptional(),
      priority: priority.exactOptional(),
    },
    {
      due: 'For the due date call reschedule_todos.',
      done: 'To mark it done call complete_todos, to open it again reopen_todos.',
    },
  ).refine(({ todo, notes, priority }) => todo !== undefined || notes !== undefined || priority !== undefined, {
    error: 'give at least one of todo, notes, priority.',
  }),
  output: oneItem,
  hints: CHANGES,
  async run({ deps, caller }, { id, todo, ...details }) {
    const change = { ...details, ...(todo === undefined ? {} : { text: todo }) }
    return { item: await deps.services.todos.change(caller, id, change) }
  },
})

export const completeTodos = tool({
  name: 'complete_todos',
  title: 'Complete to-dos',
  description:
    'Marks to-dos as done. Use it when the user says that something is done, not delete_todos. Those that are done already stay so. reopen_todos takes it back.',
  scope: WRITE,
  input: args({ ids }),
  output: batchResult,
  hints: CHANGES,
  run: async ({ deps, caller }, { ids }) => rendered(await deps.services.todos.complete(caller, ids)),
})

export const reopenTodos = tool({
  name: 'reopen_todos',
  title: 'Reopen to-dos',
  description: 'Marks done to-dos as open again. Find them with find_todos and state "done".',
  scope: WRITE,
  input: args({ ids }),
  output: batchResult,
  hints: CHANGES,
  run: async ({ deps, caller }, { ids }) => rendered(await deps.services.todos.reopen(caller, ids)),
})

export const rescheduleTodos = tool({
  name: 'reschedule_todos',
  title: 'Change due dates',
  description:
    'Sets the due dates of to-dos, each its own; null takes one away. It is the only tool that changes a due date. A date without a time stays a date: do not add a time that the user did not name.',
  scope: WRITE,
  input: args({
    items: z.array(args({ id, due })).min(1).max(MAX_BATCH),
  }),
  output: batchResult,
  hints: CHANGES,
  run: async ({ deps, caller }, { items }) => rendered(await deps.services.todos.reschedule(caller, items)),
})

export const moveTodo = tool({
  name: 'move_todo',
  title: 'Move a to-do',
  description:
    "Moves one to-do in the user's own order: before or after another one, or to a place among the open ones. Give exactly one of before, after, position. The order is not sorted by due date or priority; move only what the user asks for.",
  scope: WRITE,
  input: args({
    id,
    before: id.exactOptional().describe('id of the to-do that it will stand before'),
    after: id.exactOptional().describe('id of the to-do that it will stand after'),
    position: z.int().min(1).max(1_000_000).exactOptional().describe('1 is first'),
  }).refine((place) => placeOf(place) !== undefined, { error: 'give exactly one of before, after, position.' }),
  output: oneItem,
  hints: CHANGES,
  async run({ deps, caller }, { id, ...place }) {
    return { item: await deps.services.todos.move(caller, id, placeOf(place)!) }
  },
})

type Named = { readonly before?: string; readonly after?: string; readonly position?: number }

/** The one place that is named; `undefined` for none and for several. */
function placeOf({ before, after, position }: Named): Place | undefined {
  const places: Place[] = [
    ...(before === undefined ? [] : [{ before }]),
    ...(after === undefined ? [] : [{ after }]),
    ...(position === undefined ? [] : [{ position }]),
  ]
  return places.length === 1 ? places[0] : undefined
}
