/* PortAudio's callback around the aid: channels apart, resampled where needed, together again. */
#define _POSIX_C_SOURCE 200809L

#include "neuroamp/hosted.h"

#include <stdatomic.h>
#include <string.h>

#if defined(__linux__)
#include <pthread.h>
#include <sched.h>
#endif

/* Of portaudio.h, which is not needed to build this. */
enum { PA_CONTINUE = 0 };
enum { PA_INPUT_UNDERFLOW = 1, PA_INPUT_OVERFLOW = 2, PA_OUTPUT_UNDERFLOW = 4 };
typedef struct pa_time_info {
    double input_adc_time;
    double current_time;
    double output_dac_time;
} pa_time_info;

enum { EARS = 2, MAX_BLOCK = 1 << 16, MAX_CHANNELS = 64 };

typedef struct stream_ear {
    int is_there;
    uint32_t in, out; /* channels */
    neuroamp_ear side;
    neuroamp_resampler *resampler; /* null: the device has the model's rate */
    float *high;                   /* [block], the device's rate */
    float *low;                    /* [block], the model's rate */
} stream_ear;

struct neuroamp_stream {
    neuroamp_stream_setup setup;
    stream_ear ears[EARS];
    atomic_ullong callbacks, frames, block, input_gaps, output_gaps;
    atomic_ullong last_ns, longest_ns, longest_pause_ns, non_finite;
    atomic_llong device_delay_us;
    atomic_int priority, priority_error;
};

static size_t rounded(size_t bytes) {
    return (bytes + NEUROAMP_ALIGNMENT - 1) / NEUROAMP_ALIGNMENT * NEUROAMP_ALIGNMENT;
}

static int makes_sense(const neuroamp_stream_setup *s) {
    if (s == NULL || s->aid == NULL || s->block == 0 || s->block > MAX_BLOCK) {
        return 0;
    }
    if (s->in_channels == 0 || s->in_channels > MAX_CHANNELS || s->out_channels == 0 ||
        s->out_channels > MAX_CHANNELS) {
        return 0;
    }
    const int has_left = neuroamp_aid_chain(s->aid, NEUROAMP_LEFT) != NULL;
    const int has_right = neuroamp_aid_chain(s->aid, NEUROAMP_RIGHT) != NULL;
    if ((has_left && (s->left_in >= s->in_channels || s->left_out >= s->out_channels)) ||
        (has_right && (s->right_in >= s->in_channels || s->right_out >= s->out_channels)) ||
        (has_left && has_right && s->left_out == s->right_out)) {
        return 0;
    }
    return s->factor == 1 ||
           (s->filter != NULL && neuroamp_resampler_size(s->factor, s->taps) != 0);
}

/* Bytes of one ear: its resampler and two buffers. */
static size_t ear_bytes(const neuroamp_stream_setup *setup) {
    const size_t resampler =
        setup->factor == 1 ? 0 : neuroamp_resampler_size(setup->factor, setup->taps);
    return rounded(resampler) + 2 * rounded(setup->block * sizeof(float));
}

size_t neuroamp_stream_size(const neuroamp_stream_setup *setup) {
    if (!makes_sense(setup)) {
        return 0;
    }
    return rounded(sizeof(neuroamp_stream)) + EARS * ear_bytes(setup);
}

neuroamp_status neuroamp_stream_init(void *memory, size_t memory_bytes,
                                     const neuroamp_stream_setup *setup,
                                     neuroamp_stream **stream) {
    if (memory == NULL || (uintptr_t)memory % NEUROAMP_ALIGNMENT != 0 || stream == NULL ||
        !makes_sense(setup)) {
        return NEUROAMP_BAD_ARGUMENT;
    }
    if (memory_bytes < neuroamp_stream_size(setup)) {
        return NEUROAMP_TOO_LITTLE_MEMORY;
    }
    memset(memory, 0, neuroamp_stream_size(setup));
    uint8_t *next = memory;
    neuroamp_stream *made = (neuroamp_stream *)memory;
    next += rounded(sizeof *made);
    made->setup = *setup;
    atomic_ullong *const counts[] = {&made->callbacks,   &made->frames,     &made->block,
                                     &made->input_gaps,  &made->output_gaps, &made->last_ns,
                                     &made->longest_ns,  &made->longest_pause_ns,
                                     &made->non_finite};
    for (size_t i = 0; i < sizeof counts / sizeof *counts; i++) {
        atomic_init(counts[i], 0u);
    }
    atomic_init(&made->device_delay_us, 0);
    atomic_init(&made->priority, 0);
    atomic_init(&made->priority_error, 0);
    const neuroamp_ear sides[EARS] = {NEUROAMP_LEFT, NEUROAMP_RIGHT};
    const uint32_t in[EARS] = {setup->left_in, setup->right_in};
    const uint32_t out[EARS] = {setup->left_out, setup->right_out};
    for (size_t i = 0; i < EARS; i++) {
        stream_ear *ear = &made->ears[i];
        ear->is_there = neuroamp_aid_chain(setup->aid, sides[i]) != NULL;
        ear->side = sides[i];
        ear->in = in[i];
        ear->out = out[i];
        ear->high = (float *)(void *)next;
        next += rounded(setup->block * sizeof(float));
        ear->low = (float *)(void *)next;
        next += rounded(setup->block * sizeof(float));
        if (setup->factor > 1) {
            const size_t bytes = neuroamp_resampler_size(setup->factor, setup->taps);
            const neuroamp_status status =
                neuroamp_resampler_init(next, bytes, setup->factor, setup->filter, setup->taps,
                                        setup->sample_rate_hz, &ear->resampler);
            if (status != NEUROAMP_OK) {
                return status;
            }
            next += rounded(bytes);
        }
    }
    *stream = made;
    return NEUROAMP_OK;
}

void neuroamp_stream_restart(neuroamp_stream *stream) {
    neuroamp_aid_restart(stream->setup.aid);
    for (size_t i = 0; i < EARS; i++) {
        if (stream->ears[i].resampler != NULL) {
            neuroamp_resampler_reset(stream->ears[i].resampler);
        }
    }
    atomic_store_explicit(&stream->last_ns, 0u, memory_order_relaxed);
}

/* The audio thread is the only one that writes these. */
static void add(atomic_ullong *count, uint64_t more) {
    const uint64_t old = atomic_load_explicit(count, memory_order_relaxed);
    atomic_store_explicit(count, old + more, memory_order_relaxed);
}

static void keep_longest(atomic_ullong *longest, uint64_t time) {
    if (time > atomic_load_explicit(longest, memory_order_relaxed)) {
        atomic_store_explicit(longest, time, memory_order_relaxed);
    }
}

static void separate(const float *interleaved, uint32_t channels, uint32_t channel, float *samples,
                     size_t count) {
    for (size_t i = 0; i < count; i++) {
        samples[i] = interleaved[i * channels + channel];
    }
}

static void join(const float *samples, uint32_t channels, uint32_t channel, float *interleaved,
                 size_t count) {
    for (size_t i = 0; i < count; i++) {
        interleaved[i * channels + channel] = samples[i];
    }
}

/* Once, at the first callback: where the thread is not real-time yet, it asks to be. */
static void become_real_time(neuroamp_stream *stream) {
#if defined(__linux__)
    struct sched_param scheduling = {0};
    int policy = SCHED_OTHER, error = 0;
    pthread_getschedparam(pthread_self(), &policy, &scheduling);
    if (policy != SCHED_FIFO && policy != SCHED_RR && stream->setup.priority > 0) {
        scheduling.sched_priority = stream->setup.priority;
        error = pthread_setschedparam(pthread_self(), SCHED_FIFO, &scheduling);
        pthread_getschedparam(pthread_self(), &policy, &scheduling);
    }
    const int is_real_time = policy == SCHED_FIFO || policy == SCHED_RR;
    atomic_store_explicit(&stream->priority, is_real_time ? scheduling.sched_priority : 0,
                          memory_order_relaxed);
    atomic_store_explicit(&stream->priority_error, error, memory_order_relaxed);
#else
    (void)stream;
#endif
}

/* At most a block's frames. */
static void process(neuroamp_stream *stream, const float *in, float *out, size_t frames) {
    const neuroamp_stream_setup *setup = &stream->setup;
    float *sound[EARS] = {NULL, NULL};
    size_t count = frames;
    uint64_t non_finite = 0;
    for (size_t i = 0; i < EARS; i++) {
        stream_ear *ear = &stream->ears[i];
        if (!ear->is_there) {
            continue;
        }
        separate(in, setup->in_channels, ear->in, ear->high, frames);
        sound[i] = ear->high;
        if (ear->resampler != NULL) {
            count = neuroamp_resample_down(ear->resampler, ear->high, frames, ear->low);
            non_finite += neuroamp_resampler_non_finite(ear->resampler);
            sound[i] = ear->low;
        }
    }
    neuroamp_aid_process(setup->aid, sound[0], sound[1], sound[0], sound[1], count);
    for (size_t i = 0; i < EARS; i++) {
        stream_ear *ear = &stream->ears[i];
        if (!ear->is_there) {
            continue;
        }
        if (ear->resampler != NULL) {
            const float ceiling = neuroamp_aid_ceiling(setup->aid, ear->side);
            neuroamp_resample_up(ear->resampler, ear->low, ceiling, ear->high, frames);
        }
        join(ear->high, setup->out_channels, ear->out, out, frames);
    }
    atomic_store_explicit(&stream->non_finite, non_finite, memory_order_relaxed);
}

static void take_note(neuroamp_stream *stream, const pa_time_info *time, unsigned long flags,
                      uint64_t now, unsigned long frames) {
    const uint64_t last = atomic_load_explicit(&stream->last_ns, memory_order_relaxed);
    if (last != 0) {
        keep_longest(&stream->longest_pause_ns, now - last);
    } else {
        become_real_time(stream);
    }
    atomic_store_explicit(&stream->last_ns, now, memory_order_relaxed);
    add(&stream->callbacks, 1);
    add(&stream->frames, frames);
    atomic_store_explicit(&stream->block, frames, memory_order_relaxed);
    add(&stream->input_gaps, (flags & (PA_INPUT_UNDERFLOW | PA_INPUT_OVERFLOW)) != 0);
    if (flags & PA_OUTPUT_UNDERFLOW) {
        add(&stream->output_gaps, 1);
        if (stream->setup.is_paused_by_gaps) {
            neuroamp_aid_tell_late(stream->setup.aid);
        }
    }
    if (time != NULL) {
        const double seconds = time->output_dac_time - time->input_adc_time;
        const int is_told = seconds > 0.0 && seconds < 10.0;
        const long long microseconds = is_told ? (long long)(1e6 * seconds) : 0;
        atomic_store_explicit(&stream->device_delay_us, microseconds, memory_order_relaxed);
    }
}

int neuroamp_stream_callback(const void *input, void *output, unsigned long frames,
                             const void *time, unsigned long flags, void *userdata) {
    neuroamp_stream *stream = userdata;
    if (output == NULL || stream == NULL) {
        return PA_CONTINUE;
    }
    const uint64_t start = neuroamp_monotonic_ns(NULL);
    const uint32_t in_channels = stream->setup.in_channels;
    const uint32_t out_channels = stream->setup.out_channels;
    take_note(stream, time, flags, start, frames);
    /* Silence in every channel that no ear writes, and everywhere if there is no input. */
    memset(output, 0, frames * out_channels * sizeof(float));
    if (input != NULL) {
        const float *in = input;
        float *out = output;
        for (unsigned long done = 0; done < frames;) {
            const unsigned long rest = frames - done;
            const unsigned long count = rest < stream->setup.block ? rest : stream->setup.block;
            process(stream, in + done * in_channels, out + done * out_channels, count);
            done += count;
        }
    }
    keep_longest(&stream->longest_ns, neuroamp_monotonic_ns(NULL) - start);
    return PA_CONTINUE;
}

neuroamp_stream_report neuroamp_stream_read(const neuroamp_stream *stream) {
    const neuroamp_stream_report report = {
        atomic_load_explicit(&stream->callbacks, memory_order_relaxed),
        atomic_load_explicit(&stream->frames, memory_order_relaxed),
        atomic_load_explicit(&stream->block, memory_order_relaxed),
        atomic_load_explicit(&stream->input_gaps, memory_order_relaxed),
        atomic_load_explicit(&stream->output_gaps, memory_order_relaxed),
        atomic_load_explicit(&stream->last_ns, memory_order_relaxed),
        atomic_load_explicit(&stream->longest_ns, memory_order_relaxed),
        atomic_load_explicit(&stream->longest_pause_ns, memory_order_relaxed),
        atomic_load_explicit(&stream->device_delay_us, memory_order_relaxed),
        atomic_load_explicit(&stream->non_finite, memory_order_relaxed),
        atomic_load_explicit(&stream->priority, memory_order_relaxed),
        atomic_load_explicit(&stream->priority_error, memory_order_relaxed),
    };
    return report;
}
