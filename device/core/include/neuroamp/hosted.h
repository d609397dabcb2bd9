/* What the core offers only where there is an operating system; firmware has its own. */
#ifndef NEUROAMP_HOSTED_H
#define NEUROAMP_HOSTED_H

#include "neuroamp/neuroamp.h"

#ifdef __cplusplus
extern "C" {
#endif

/* A `neuroamp_clock`: monotonic nanoseconds since some fixed moment; `context` is not used. */
NEUROAMP_API uint64_t neuroamp_monotonic_ns(void *context);

#ifdef __cplusplus
}
#endif

#endif
