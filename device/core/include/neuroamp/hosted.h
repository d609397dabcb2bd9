/* What the core offers only where there is an operating system; firmware has its own. */
#ifndef NEUROAMP_HOSTED_H
#define NEUROAMP_HOSTED_H

#include "neuroamp/aid.h"
#include "neuroamp/resample.h"

#ifdef __cplusplus
extern "C" {
#endif

/* A `neuroamp_clock`: monotonic nanoseconds since some fixed moment; `context` is not used. */
NEUROAMP_API uint64_t neuroamp_monotonic_ns(void *context);

/* An aid behind PortAudio: its stream callback, in C, so that no other code runs between the sound
 * card and the aid. PortAudio itself is not linked; whoever opens the stream passes the callback
 * and the stream as its user data, with interleaved float32 samples. */
typedef struct neuroamp_stream neuroamp_stream;

typedef struct neuroamp_stream_setup {
    neuroamp_aid *aid;
    uint32_t sample_rate_hz; /* of the device */
    uint32_t factor;         /* device's rate by the model's; 1: no resampling */
    uint32_t taps;
    const float *filter;     /* [taps], for the resampler */
    uint32_t block;          /* most frames that are processed at a time */
    uint32_t in_channels, out_channels;
    uint32_t left_in, right_in;   /* channels from 0; two ears may share a microphone */
    uint32_t left_out, right_out; /* an ear that the aid lacks is not written: silence */
    uint32_t is_paused_by_gaps;   /* 1: an underflow counts as a late hop */
    int32_t priority;             /* SCHED_FIFO's of the callback's thread, on Linux; 0: as it is */
} neuroamp_stream_setup;

/* What the callback counted; any thread may ask. */
typedef struct neuroamp_stream_report {
    uint64_t callbacks;
    uint64_t frames;
    uint64_t block;              /* frames of the last callback */
    uint64_t input_gaps;         /* callbacks with input lost or missing, as PortAudio says */
    uint64_t output_gaps;        /* callbacks after output that came too late */
    uint64_t last_ns;            /* when the last callback began, neuroamp_monotonic_ns; 0: never */
    uint64_t longest_ns;         /* callback */
    uint64_t longest_pause_ns;   /* between the beginnings of two callbacks */
    int64_t device_delay_us;     /* converter to converter, as PortAudio said last; 0: not said */
    uint64_t non_finite_samples; /* that the resamplers met; the chains count their own */
    int32_t priority;            /* SCHED_FIFO's of the callback's thread, 0: it is not real-time */
    int32_t priority_error;      /* errno of setting it; 0: none */
} neuroamp_stream_report;

/* Bytes of memory of a stream; 0 if the setup makes no sense. */
NEUROAMP_API size_t neuroamp_stream_size(const neuroamp_stream_setup *setup);

/* A stream at rest in the caller's memory, aligned to NEUROAMP_ALIGNMENT. */
NEUROAMP_API neuroamp_status neuroamp_stream_init(void *memory, size_t memory_bytes,
                                                  const neuroamp_stream_setup *setup,
                                                  neuroamp_stream **stream);

/* While no callback runs: forgets what was heard and the last callback's time, for another start;
 * the aid fades in anew. */
NEUROAMP_API void neuroamp_stream_restart(neuroamp_stream *stream);

NEUROAMP_API neuroamp_stream_report neuroamp_stream_read(const neuroamp_stream *stream);

/* A PaStreamCallback; `stream` is a neuroamp_stream. Whatever is missing (`input` null, a stream
 * that is null) gives silence. Always goes on: it is the supervisor who stops a stream. */
NEUROAMP_API int neuroamp_stream_callback(const void *input, void *output, unsigned long frames,
                                          const void *time, unsigned long flags, void *stream);

#ifdef __cplusplus
}
#endif

#endif
