/* The state of one ear's chain; opaque to callers. */
#ifndef NA_CHAIN_H
#define NA_CHAIN_H

#include "limiter.h"
#include "lstm.h"
#include "stats.h"
#include "transform.h"
#include "wdrc.h"

struct neuroamp {
    na_model model;
    neuroamp_ear ear;
    neuroamp_fitting fitting;
    neuroamp_kernel kernel;
    neuroamp_counts counts;
    na_stats *stats; /* apart: it is large, and the chain is laid out on a stack once */
    na_transform transform;
    na_wdrc wdrc;
    na_lstm lstm;
    na_limiter limiter;
    float device_ceiling_pa; /* the limiter's ceiling is never above it, whatever the fitting */
    float volume;            /* factor before the limiter, at the end of the last hop */
    float wanted_volume;     /* where it goes */
    neuroamp_net external;   /* null: the net is the model's */
    void *external_context;
    int whole_hops; /* a hop's output leaves in the call that brought the hop */
    int net_enabled;
    int is_first_step;
    uint32_t hop_in_step; /* hops since the last step */
    uint32_t filled;      /* samples of the next hop that have come */
    float missed_decay;   /* factor on the net's gains at a missed step */
    float noise_reach;    /* share of the way that the two means below go in a step */
    float noise_weight;   /* of a mean over 1.25 s: the weights' */
    float noise_asked_db; /* and the weighted gains' that the net asked for */
    float *incoming;      /* [hop] */
    float *outgoing;      /* [hop] */
    float *power;         /* [bins], Pa^2 */
    float *features;      /* [model.features], the net's input */
    float *asked;         /* [model.features], the net's output */
    float *prescribed_db; /* [bins], by the fitting alone */
    float *net_db;        /* [bins], what the net asks for on top */
    float *gain_db;       /* [bins], of the last step */
    float *gain;          /* [bins], the same as factors */
};

/* From now on no sample is above `ceiling_pa` in magnitude, whatever the fitting's own limit. */
void na_set_device_ceiling(neuroamp *chain, float ceiling_pa);

/* A factor on the sound before the limiter; the chain goes there by 0.2 dB a millisecond. */
void na_set_volume(neuroamp *chain, float factor);

/* Forgets what was heard, as neuroamp_reset does, but keeps the statistics. */
void na_forget_sound(neuroamp *chain);

#endif
