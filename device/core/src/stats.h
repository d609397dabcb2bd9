/* Times of the stages, in histograms whose buckets grow with the time. */
#ifndef NA_STATS_H
#define NA_STATS_H

#include "neuroamp/neuroamp.h"

typedef struct na_stats {
    neuroamp_clock clock; /* null: nothing is timed */
    void *context;
    uint64_t deadline; /* of a frame, ticks */
    neuroamp_times times[NEUROAMP_STAGES];
} na_stats;

void na_stats_reset(na_stats *stats);

/* Now, in ticks; 0 without a clock. */
static inline uint64_t na_now(const na_stats *stats) {
    return stats->clock == NULL ? 0 : stats->clock(stats->context);
}

/* Counts the time since `start` for a stage; returns now. */
uint64_t na_count_time(na_stats *stats, neuroamp_stage stage, uint64_t start);

#endif
