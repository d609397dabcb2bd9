#include "transform.h"

#include "loops.h"

#include <string.h>

static na_complex take_complex(na_arena *arena, size_t count) {
    na_complex taken;
    taken.re = na_take(arena, count, sizeof(float));
    taken.im = na_take(arena, count, sizeof(float));
    return taken;
}

void na_transform_layout(na_transform *transform, const na_model *model, na_arena *arena) {
    const na_profile *profile = &model->profile;
    transform->model = model;
    transform->fft = (na_fft){profile->frame_length, model->cosine, model->sine};
    transform->frame = na_take(arena, profile->frame_length, sizeof(float));
    transform->overlap = na_take(arena, profile->synthesis_length, sizeof(float));
    transform->spectrum = take_complex(arena, model->bins);
    transform->packed = take_complex(arena, profile->frame_length / 2);
    transform->work = take_complex(arena, profile->frame_length / 2);
}

void na_transform_reset(na_transform *transform) {
    const na_profile *profile = &transform->model->profile;
    memset(transform->frame, 0, profile->frame_length * sizeof(float));
    memset(transform->overlap, 0, profile->synthesis_length * sizeof(float));
}

void na_analyse(na_transform *transform, const float *samples) {
    const size_t length = transform->model->profile.frame_length;
    const size_t hop = transform->model->profile.hop;
    const float *window = transform->model->analysis_window;
    float *frame = transform->frame;
    memmove(frame, frame + hop, (length - hop) * sizeof(float));
    memcpy(frame + length - hop, samples, hop * sizeof(float));
    na_window_packed(frame, window, transform->packed, length / 2);
    na_fft_forward(&transform->fft, transform->packed, transform->work, transform->spectrum);
}

void na_synthesise(na_transform *transform, float *samples) {
    const size_t length = transform->model->profile.frame_length;
    const size_t hop = transform->model->profile.hop;
    const size_t tail = transform->model->profile.synthesis_length;
    const float *window = transform->model->synthesis_window;
    float *overlap = transform->overlap;
    const na_complex packed =
        na_fft_inverse(&transform->fft, transform->spectrum, transform->packed, transform->work);
    const float *even = packed.re + (length - tail) / 2, *odd = packed.im + (length - tail) / 2;
    for (size_t i = 0; i < tail / 2; i++) { /* the tail is two hops, and so even */
        overlap[2 * i] += even[i] * window[2 * i];
        overlap[2 * i + 1] += odd[i] * window[2 * i + 1];
    }
    memcpy(samples, overlap, hop * sizeof(float));
    memmove(overlap, overlap + hop, (tail - hop) * sizeof(float));
    memset(overlap + tail - hop, 0, hop * sizeof(float));
}
