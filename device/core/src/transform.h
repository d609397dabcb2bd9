/* Streaming analysis and synthesis: one hop of samples to one spectrum, and back. */
#ifndef NA_TRANSFORM_H
#define NA_TRANSFORM_H

#include "fft.h"
#include "arena.h"
#include "model.h"

typedef struct na_transform {
    const na_model *model;
    na_fft fft;
    float *frame;        /* [frame_length], the latest samples */
    float *overlap;      /* [synthesis_length], the sum of the windowed frames so far */
    na_complex spectrum; /* [bins] */
    na_complex packed;   /* [frame_length / 2] */
    na_complex work;     /* [frame_length / 2] */
} na_transform;

void na_transform_layout(na_transform *transform, const na_model *model, na_arena *arena);

void na_transform_reset(na_transform *transform);

/* Leaves the spectrum of the latest frame after `samples` [hop] in `spectrum`. */
void na_analyse(na_transform *transform, const float *samples);

/* The next finished hop from `spectrum`. */
void na_synthesise(na_transform *transform, float *samples);

#endif
