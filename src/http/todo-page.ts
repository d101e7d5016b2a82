/** `GET /account/todos/:id`: the page of one to-do, to which the links in answers of `/mcp` lead. */
import Router from '@koa/router'
import type { Context } from 'koa'
import type { ListCaller } from '../service/authentication.ts'
import { type SignedIn, sessionCaller } from '../service/caller.ts'
import { READ, titleOf } from '../service/todos.ts'
import { provenance } from './origin.ts'
import { sendPage } from './pages/layout.ts'
import { signInPage } from './pages/sign-in.ts'
import { todoPage } from './pages/todo.ts'
import { signedIn, tokenFor } from './session.ts'
import type { Deps } from './settings.ts'

export function todoPageRoutes(deps: Deps): Router {
  const router = new Router({ sensitive: true, strict: true })
  router.get('/account/todos/:id', async (ctx) => {
    const visitor = await signedIn(ctx, deps)
    if (visitor === undefined) {
      const page = { formToken: tokenFor(ctx, deps, 'login'), canSignUp: deps.services.accounts.canSignUp }
      return sendPage(ctx, signInPage({ ...page, returnTo: ctx.path }))
    }
    const item = await deps.services.todos.get(ownCaller(ctx, visitor), String(ctx.params.id))
    return sendPage(ctx, todoPage(item, titleOf(item)))
  })
  return router
}

/** A signed-in visitor who reads their own list. */
const ownCaller = (ctx: Context, visitor: SignedIn): ListCaller => ({
  ...sessionCaller(provenance(ctx), visitor),
  user: visitor.user,
  scope: READ,
  owner: { user: visitor.user.id },
  budget: visitor.user.id,
})
