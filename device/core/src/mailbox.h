/* Handing a value from one thread to another, the newest one, without a lock or a wait: three
 * slots, of which each side owns one and the third changes hands. */
#ifndef NA_MAILBOX_H
#define NA_MAILBOX_H

#include <stdatomic.h>

enum { NA_SLOTS = 3, NA_FRESH = 4 };

typedef struct na_mailbox {
    atomic_uint between; /* slot that changes hands; NA_FRESH: the reader has not seen it */
    unsigned writing;    /* slot of the writer */
    unsigned reading;    /* slot of the reader */
} na_mailbox;

static inline void na_mailbox_init(na_mailbox *box) {
    atomic_init(&box->between, 0u);
    box->writing = 1;
    box->reading = 2;
}

/* The writer has filled its slot and gets another one. */
static inline void na_post(na_mailbox *box) {
    const unsigned filled = box->writing | NA_FRESH;
    const unsigned freed = atomic_exchange_explicit(&box->between, filled, memory_order_acq_rel);
    box->writing = freed & ~(unsigned)NA_FRESH;
}

/* Whether the reader's slot now holds something newer than before. */
static inline int na_receive(na_mailbox *box) {
    if (!(atomic_load_explicit(&box->between, memory_order_relaxed) & NA_FRESH)) {
        return 0;
    }
    const unsigned seen = box->reading;
    const unsigned fresh = atomic_exchange_explicit(&box->between, seen, memory_order_acq_rel);
    box->reading = fresh & ~(unsigned)NA_FRESH;
    return 1;
}

#endif
