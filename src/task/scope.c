/* scope.c - scopes: caller's storage, entered and left by one task, innermost first.
 *
 * The task keeps a chain of its open scopes.  It is what makes misuse that would leave a dangling
 * pointer into a dead frame visible: entering one that is open, leaving out of order, ending a task
 * with one open.
 */
#include "ground/log.h"
#include "ground/sys.h"
#include "task/task.h"

enum { SCOPE_OPEN = 0x5c0be };

void scope_enter(struct asyncio_scope_ *scope, const struct asyncio_scope_type_ *type)
{
    asyncio_task *self = task_current;

    /* The storage may hold anything, so only the chain tells whether it is open. */
    for (struct asyncio_scope_ *open = self != NULL ? self->scopes : NULL; open != NULL;
         open = open->outer_)
        if (open == scope)
            die("a %s was entered that is open already", type->kind);
    *scope = (struct asyncio_scope_){ .type_ = type, .task_ = self, .state_ = SCOPE_OPEN };
    if (self == NULL) {
        scope->error_ = ASYNCIO_ENOTASK;
        return;
    }
    /* A request that is not delivered yet will be met inside, and is not the scope's own. */
    scope->cancelling_ = self->cancelling - self->must_cancel;
    scope->outer_ = self->scopes;
    self->scopes = scope;
}

/* A fork's child on its way out of its parent's task: that is nobody's there. */
static bool is_in_child(const asyncio_task *task)
{
    return task != NULL && task->loop->process != sys_process_id();
}

int scope_exit(struct asyncio_scope_ *scope)
{
    asyncio_task *self = task_current;

    if (scope->state_ != SCOPE_OPEN)
        die("a scope was left that is not open");
    if (is_in_child(scope->task_)) {
        scope->state_ = 0;
        scope->task_->scopes = scope->outer_;
        return ASYNCIO_EWRONGLOOP;
    }
    if (scope->task_ != self)
        die("a %s was left by another task than the one that entered it", scope->type_->kind);
    scope->state_ = 0;
    if (self == NULL)
        return scope->error_;
    if (self->scopes == NULL) /* but a copy of one that was */
        die("a scope was left that is not open");
    if (self->scopes != scope)
        die("a %s was left before the %s inside it", scope->type_->kind, self->scopes->type_->kind);
    self->scopes = scope->outer_;
    return scope->error_;
}

void scope_cancel(struct asyncio_scope_ *scope)
{
    asyncio_task *task = scope->task_;

    asyncio_task_cancel_with(task, task->cancelling > 0 ? task->future.reason_ : NULL);
}
