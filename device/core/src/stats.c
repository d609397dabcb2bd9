#include "stats.h"

#include <string.h>

enum { EXACT = 8, PER_OCTAVE = 8 };

static unsigned bucket_of(uint64_t ticks) {
    if (ticks < EXACT) {
        return (unsigned)ticks;
    }
    unsigned octave = 0; /* ticks lies from 8 to 15 times 2^octave */
    while (ticks >> octave >= 2 * EXACT) {
        octave++;
    }
    const uint64_t bucket = EXACT + octave * PER_OCTAVE + ((ticks >> octave) - EXACT);
    return bucket < NEUROAMP_BUCKETS ? (unsigned)bucket : NEUROAMP_BUCKETS - 1;
}

uint64_t neuroamp_bucket_start(unsigned bucket) {
    if (bucket < EXACT) {
        return bucket;
    }
    const unsigned octave = (bucket - EXACT) / PER_OCTAVE;
    if (octave > 60) {
        return UINT64_MAX;
    }
    return (uint64_t)(EXACT + (bucket - EXACT) % PER_OCTAVE) << octave;
}

void na_stats_reset(na_stats *stats) { memset(stats->times, 0, sizeof stats->times); }

uint64_t na_count_time(na_stats *stats, neuroamp_stage stage, uint64_t start) {
    if (stats->clock == NULL) {
        return 0;
    }
    const uint64_t now = na_now(stats);
    const uint64_t ticks = now - start;
    neuroamp_times *times = &stats->times[stage];
    times->count++;
    times->total += ticks;
    times->max = ticks > times->max ? ticks : times->max;
    times->histogram[bucket_of(ticks)]++;
    if (stage == NEUROAMP_FRAME && ticks > stats->deadline) {
        times->deadline_misses++;
    }
    return now;
}

uint64_t neuroamp_percentile(const neuroamp_times *times, double fraction) {
    const double wanted = fraction * (double)times->count;
    uint64_t seen = 0;
    for (unsigned bucket = 0; bucket < NEUROAMP_BUCKETS - 1; bucket++) {
        seen += times->histogram[bucket];
        if (seen > 0 && (double)seen >= wanted) {
            const uint64_t last = neuroamp_bucket_start(bucket + 1) - 1;
            return last < times->max ? last : times->max;
        }
    }
    return times->max;
}
