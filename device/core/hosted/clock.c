/* POSIX's monotonic clock as the core's, so that nothing but C runs while a frame is timed. */
#define _POSIX_C_SOURCE 199309L

#include "neuroamp/hosted.h"

#include <time.h>

uint64_t neuroamp_monotonic_ns(void *context) {
    struct timespec now;
    (void)context;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * UINT64_C(1000000000) + (uint64_t)now.tv_nsec;
}
