/* Carving the caller's memory: run once without memory to count, once with it to build. */
#ifndef NA_ARENA_H
#define NA_ARENA_H

#include "neuroamp/neuroamp.h"

typedef struct na_arena {
    uint8_t *base; /* null: count only */
    size_t used;
} na_arena;

/* The next `count` items of `size` bytes, aligned; null while only counting. */
static inline void *na_take(na_arena *arena, size_t count, size_t size) {
    void *taken = arena->base == NULL ? NULL : arena->base + arena->used;
    const size_t bytes = count * size;
    arena->used += (bytes + NEUROAMP_ALIGNMENT - 1) / NEUROAMP_ALIGNMENT * NEUROAMP_ALIGNMENT;
    return taken;
}

#endif
