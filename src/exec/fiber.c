/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Switching stacks. On x86-64 by saving the six registers a function must
 * keep; control words never change here, so they are not touched. Elsewhere
 * (or with TK_FIBER_UCONTEXT) by ucontext, which asks the kernel each time.
 * A stack is mapped with a page below it that nobody may touch. One thread;
 * no locks.
 */
#include "exec/fiber.h"

#include <stdint.h>
#include <string.h>
#include <sys/mman.h>

#include "base/alloc.h"
#include "exec/sanitizer.h"

#define GUARD_BYTES 4096
#if TK_ASAN || TK_TSAN
#define STACK_BYTES ((size_t)512 * 1024) /* their frames are larger */
#else
#define STACK_BYTES ((size_t)128 * 1024)
#endif

/* Who is switched to: a fresh fiber must know itself, and everybody whom he
 * comes from. */
static _Thread_local struct tk_fiber *arriving;
static _Thread_local struct tk_fiber *leaving;

static void
arrived(void)
{
#if TK_ASAN
    struct tk_fiber *from = leaving;
    const void *bottom;
    size_t size;

    __sanitizer_finish_switch_fiber(arriving->fake_stack, &bottom, &size);
    if (from->stack == NULL) {
        /* The bounds of the thread's own stack are learned here. */
        from->arg = (void *)(uintptr_t)bottom;
        from->stack_size = size;
    }
#endif
}

static void
announce(struct tk_fiber *from, struct tk_fiber *to)
{
    leaving = from;
    arriving = to;
#if TK_ASAN
    __sanitizer_start_switch_fiber(from->is_over ? NULL : &from->fake_stack,
                                   to->stack == NULL ? to->arg : to->stack,
                                   to->stack_size);
#endif
#if TK_TSAN
    __tsan_switch_to_fiber(to->tsan, 0);
#endif
}

static void
swap(struct tk_fiber *from, struct tk_fiber *to);

static void
enter(void)
{
    struct tk_fiber *self = arriving;

    arrived();
    self->fn(self->arg);
    self->is_over = true;
    announce(self, self->home);
    swap(self, self->home);
    __builtin_unreachable();
}

#if defined(__x86_64__) && !defined(TK_FIBER_UCONTEXT)

/* void tk_fiber_swap(void **save_rdi, void *load_rsi) */
void
tk_fiber_swap(void **save, void *load) __attribute__((visibility("hidden")));

__asm__(".text\n"
        ".globl tk_fiber_swap\n"
        ".hidden tk_fiber_swap\n"
        ".type tk_fiber_swap, @function\n"
        "tk_fiber_swap:\n"
        "    .cfi_startproc\n"
        "    endbr64\n"
        "    pushq %rbp\n"
        "    pushq %rbx\n"
        "    pushq %r12\n"
        "    pushq %r13\n"
        "    pushq %r14\n"
        "    pushq %r15\n"
        "    movq %rsp, (%rdi)\n"
        "    movq %rsi, %rsp\n"
        "    popq %r15\n"
        "    popq %r14\n"
        "    popq %r13\n"
        "    popq %r12\n"
        "    popq %rbx\n"
        "    popq %rbp\n"
        "    ret\n"
        "    .cfi_endproc\n"
        ".size tk_fiber_swap, .-tk_fiber_swap\n");

static void
swap(struct tk_fiber *from, struct tk_fiber *to)
{
    tk_fiber_swap(&from->sp, to->sp);
}

/* As if tk_fiber_swap had been called by a caller without a caller: six
 * registers, where to return to, and nothing above it. */
static bool
prepare(struct tk_fiber *fiber)
{
    void **top = (void **)(void *)(fiber->stack + fiber->stack_size);
    void (*entry)(void) = enter;

    memset(top - 8, 0, 8 * sizeof(*top));
    memcpy(top - 2, &entry, sizeof(entry));
    fiber->sp = top - 8;
    return true;
}

static void
forget(struct tk_fiber *fiber)
{
    (void)fiber;
}

#else

#include <ucontext.h>

static void
swap(struct tk_fiber *from, struct tk_fiber *to)
{
    ucontext_t own;

    if (from->sp == NULL) {
        from->sp = &own; /* lives on the stack that is left, until the return */
    }
    swapcontext(from->sp, to->sp);
    if (from->sp == &own) {
        from->sp = NULL;
    }
}

static bool
prepare(struct tk_fiber *fiber)
{
    ucontext_t *context = tk_alloc(sizeof(*context));

    if (context == NULL || getcontext(context) != 0) {
        tk_free(context);
        return false;
    }
    context->uc_stack.ss_sp = fiber->stack;
    context->uc_stack.ss_size = fiber->stack_size;
    context->uc_link = NULL;
    makecontext(context, enter, 0);
    fiber->sp = context;
    return true;
}

static void
forget(struct tk_fiber *fiber)
{
    tk_free(fiber->sp);
}

#endif

void
tk_fiber_init_thread(struct tk_fiber *fiber)
{
    memset(fiber, 0, sizeof(*fiber));
#if TK_TSAN
    fiber->tsan = __tsan_get_current_fiber();
#endif
}

bool
tk_fiber_init(struct tk_fiber *fiber, struct tk_fiber *home, void (*fn)(void *),
              void *arg)
{
    char *map = mmap(NULL, GUARD_BYTES + STACK_BYTES, PROT_READ | PROT_WRITE,
                     MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    memset(fiber, 0, sizeof(*fiber));
    if (map == MAP_FAILED) {
        return false;
    }
    mprotect(map, GUARD_BYTES, PROT_NONE);
    fiber->stack = map + GUARD_BYTES;
    fiber->stack_size = STACK_BYTES;
    fiber->home = home;
    fiber->fn = fn;
    fiber->arg = arg;
#if TK_ASAN
    /* The place may have been a stack before. */
    __asan_unpoison_memory_region(fiber->stack, STACK_BYTES);
#endif
    if (!prepare(fiber)) {
        munmap(map, GUARD_BYTES + STACK_BYTES);
        return false;
    }
#if TK_TSAN
    fiber->tsan = __tsan_create_fiber(0);
#endif
    return true;
}

void
tk_fiber_fini(struct tk_fiber *fiber)
{
    forget(fiber);
#if TK_TSAN
    __tsan_destroy_fiber(fiber->tsan);
#endif
#if TK_ASAN
    __asan_unpoison_memory_region(fiber->stack, STACK_BYTES);
#endif
    munmap(fiber->stack - GUARD_BYTES, GUARD_BYTES + STACK_BYTES);
}

void
tk_fiber_switch(struct tk_fiber *from, struct tk_fiber *to)
{
    announce(from, to);
    swap(from, to);
    arrived();
}
