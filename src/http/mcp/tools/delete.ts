/** Tools that delete to-dos, and take that back. */
import { z } from 'zod'
import { WRITE } from '../../../service/todos.ts'
import { rendered } from '../batch-result.ts'
import { args, batchResult, failures, ids, item } from '../schemas.ts'
import { CHANGES, tool } from '../tool.ts'

const UNDO =
  'To undo, call undo_delete with the ids in `items` within 30 days. Later deletions can end that sooner, and the list must have room.'

export const deleteTodos = tool({
  name: 'delete_todos',
  title: 'Delete to-dos',
  description:
    'Deletes to-dos. Use it only when the user wants them gone; for what is done use complete_todos. Ask first if it is not clear which ones are meant. It can be undone for up to 30 days with undo_delete and the same ids: tell the user so.',
  scope: WRITE,
  input: args({ ids }),
  output: z.strictObject({ items: z.array(item), failures, undo: z.string() }),
  hints: { ...CHANGES, destructiveHint: true },
  async run({ deps, caller }, { ids }) {
    return { ...rendered(await deps.services.todos.delete(caller, ids)), undo: UNDO }
  },
})

export const undoDelete = tool({
  name: 'undo_delete',
  title: 'Undo a deletion',
  description:
    'Brings deleted to-dos back as they were, in their old place. Works for up to 30 days; later deletions can end that sooner. Find their ids with find_todos and state "deleted".',
  scope: WRITE,
  input: args({ ids }),
  output: batchResult,
  hints: CHANGES,
  run: async ({ deps, caller }, { ids }) => rendered(await deps.services.todos.undelete(caller, ids)),
})
