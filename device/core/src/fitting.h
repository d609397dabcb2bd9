/* The ranges of a fitting's values: here and nowhere else in the core. */
#ifndef NA_FITTING_H
#define NA_FITTING_H

#include "neuroamp/neuroamp.h"

/* What is wrong: a field by its number in docs/serial-protocol.md, and the entry of its row. */
typedef struct na_fault {
    uint8_t field; /* 0: nothing */
    uint8_t index;
} na_fault;

/* The first value of a fitting that is not a number or out of its range; not the ear. */
na_fault na_find_fault(const neuroamp_fitting *fitting);

/* 0 if a value is out of range or not a number. */
static inline int na_within(float value, float low, float high) {
    return value >= low && value <= high;
}

#endif
